import { isWithinBounds, SEED, SHARE, type Bounds } from '@shared/bounds'
import { DAMP } from '@shared/damping'
import { canHoldOut, defaultHoldout, someLayers } from '@shared/holdout'
import type { ModelSummary } from '@shared/model'
import { meaningsOf, readNumber } from '@shared/numbers'
import {
  FEW_STEPS,
  isPredictorKey,
  isPredictorNumber,
  LENGTH_BOUNDS,
  PLACED_PREDICTOR_KEYS,
  PREDICTOR_FIELDS,
  PRESET_SETTINGS,
  stepsRange,
  type PredictorKey,
  type PredictorNumber,
} from '@shared/predictorSettings'
import { DEFAULT_DRAFT, type ProjectDraft } from '@shared/projects'
import { formatNumber } from '@shared/units'
import { FIELD_ERRORS } from '../strings/fields'
import { describeBounds, type Range } from './bounds'
import { formatInteger } from './numbers'

/** In the place of held-out layers: the program chooses a few. */
const SOME = 'some'

/** Parameters of the method and the run that are typed as numbers, beside the predictor's. */
const OTHER_NUMBERS = ['energy', 'holdout', 'damp', 'seed'] as const

/** Parameters that are typed as numbers. */
export type NumberField = PredictorKey | (typeof OTHER_NUMBERS)[number]
export const NUMBER_FIELDS: readonly NumberField[] = [...PLACED_PREDICTOR_KEYS, ...OTHER_NUMBERS]

/** Every parameter that has a default to go back to. */
export type ParameterField = NumberField | 'useSvd' | 'rest' | 'align' | 'asPublished' | 'device'

/** Typed as a number, with a range that no model changes. */
type PlainNumber = PredictorNumber | 'energy' | 'damp' | 'seed'

function boundsOf(field: PlainNumber): Bounds {
  if (isPredictorNumber(field)) return PREDICTOR_FIELDS[field].bounds
  if (field === 'damp') return DAMP
  return field === 'energy' ? SHARE : SEED
}

/** The range of a field for a model of this depth. */
export function rangeOf(field: NumberField, draft: ProjectDraft, layers: number): Range {
  if (field === 'length') return describeBounds(LENGTH_BOUNDS[draft.predictor.length.unit])
  if (field === 'damp') {
    const range = describeBounds(DAMP)
    return { ...range, text: `${range.text}, auto, or none` }
  }
  if (field !== 'holdout') return describeBounds(boundsOf(field))
  const [low, high] = ['1', formatInteger(Math.max(1, layers - 2))] as const
  return {
    text: `${low} – ${high}, several with commas between, ${SOME}, or none`,
    error: FIELD_ERRORS.heldOut(low, high),
  }
}

/** A value as it is typed. */
export function textOf(field: NumberField, draft: ProjectDraft): string {
  if (field === 'length') return String(draft.predictor.length.value)
  if (field === 'holdout') return draft.holdout?.join(', ') ?? ''
  if (field === 'damp') {
    const { damp } = draft
    if (damp == null) return ''
    return damp === 'auto' ? damp : formatNumber(damp)
  }
  return formatNumber(isPredictorNumber(field) ? draft.predictor[field] : draft[field])
}

/** `3, 6` as a list in order; of what is no number NaN. */
function readLayers(text: string, layers: number): readonly number[] {
  if (text.trim() === SOME) return someLayers(layers)
  const typed = text.split(',').map((part) => (/^\s*\d+\s*$/.test(part) ? Number(part) : NaN))
  return [...new Set(typed)].sort((a, b) => a - b)
}

function isWhole(field: PlainNumber | 'length', draft: ProjectDraft): boolean {
  const bounds = field === 'length' ? LENGTH_BOUNDS[draft.predictor.length.unit] : boundsOf(field)
  return bounds.isWhole ?? false
}

/** What the typed text makes of the draft, or why it is not taken. */
export function parseField(
  field: NumberField,
  text: string,
  draft: ProjectDraft,
  layers: number,
): { readonly patch: Partial<ProjectDraft> } | { readonly error: string } {
  if ((field === 'holdout' || field === 'damp') && text.trim() === '') {
    return { patch: { [field]: null } }
  }
  if (field === 'holdout') {
    const chosen = readLayers(text, layers)
    const isGood = chosen.length > 0 && chosen.every((layer) => canHoldOut(layer, layers))
    return isGood ? { patch: { holdout: chosen } } : { error: rangeOf(field, draft, layers).error }
  }
  if (field === 'damp' && text.trim() === 'auto') {
    if (draft.calibration === null) return { error: FIELD_ERRORS.autoNeedsText }
    return { patch: { damp: 'auto' } }
  }
  const read = readNumber(text, isWhole(field, draft))
  if (!('value' in read)) {
    const { notANumber, grouped } = FIELD_ERRORS
    return { error: read.problem === 'grouped' ? grouped(...meaningsOf(text)) : notANumber }
  }
  const { value } = read
  const { error } = rangeOf(field, draft, layers)
  const { predictor } = draft
  if (field === 'length') {
    const length = { ...predictor.length, value }
    return isWithinBounds(value, LENGTH_BOUNDS[length.unit])
      ? { patch: { predictor: { ...predictor, length } } }
      : { error }
  }
  if (!isWithinBounds(value, boundsOf(field))) return { error }
  return isPredictorNumber(field)
    ? { patch: { predictor: { ...predictor, [field]: value } } }
    : { patch: { [field]: value } }
}

/** The draft with one parameter as the preset, or the program's default, has it. */
export function resetPatch(
  field: ParameterField,
  draft: ProjectDraft,
  layers: number,
): Partial<ProjectDraft> {
  if (field === 'holdout') return { holdout: defaultHoldout(layers) }
  if (!isPredictorKey(field)) return { [field]: DEFAULT_DRAFT[field] }
  return { predictor: { ...draft.predictor, [field]: PRESET_SETTINGS[draft.preset][field] } }
}

/** Whether a parameter is not what the preset, or the program's default, has. */
export function isChanged(field: ParameterField, draft: ProjectDraft, layers: number): boolean {
  if (field === 'holdout') return String(draft.holdout) !== String(defaultHoldout(layers))
  const preset = PRESET_SETTINGS[draft.preset]
  if (field === 'length') {
    const { unit, value } = draft.predictor.length
    return unit !== preset.length.unit || value !== preset.length.value
  }
  if (isPredictorNumber(field)) return draft.predictor[field] !== preset[field]
  return draft[field] !== DEFAULT_DRAFT[field]
}

/** The preset's, or the program's, value as people read it. */
export function defaultText(field: ParameterField, draft: ProjectDraft, layers: number): string {
  const preset = PRESET_SETTINGS[draft.preset]
  if (field === 'length') return `${formatInteger(preset.length.value)} ${preset.length.unit}`
  if (isPredictorNumber(field)) return formatNumber(preset[field])
  if (field === 'holdout') return defaultHoldout(layers)?.join(', ') ?? 'none'
  if (field === 'damp') return 'none'
  if (field === 'align' || field === 'asPublished') return 'off'
  if (field === 'useSvd') return 'on'
  return String(DEFAULT_DRAFT[field])
}

/** Mini-batches that the predictors train for, fewest and most over the weight types. */
export function stepsOf(
  draft: ProjectDraft,
  model: ModelSummary,
): { readonly low: number; readonly high: number; readonly isShort: boolean } {
  const range = stepsRange(draft, model)
  return { ...range, isShort: range.low < FEW_STEPS }
}
