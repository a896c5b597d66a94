import type { ModelSummary } from '@shared/model'
import {
  countSteps,
  FEW_STEPS,
  predictorSettingsSchema,
  PRESET_SETTINGS,
  trainingLengthSchema,
} from '@shared/predictorSettings'
import { DEFAULT_DRAFT, projectDraftSchema, type ProjectDraft } from '@shared/projects'
import { FIELD_ERRORS } from '../strings/fields'
import { formatInteger } from './numbers'

/** Parameters that are typed as numbers. */
export const NUMBER_FIELDS = [
  'length',
  'lambda',
  'learningRate',
  'hiddenSize',
  'batchSize',
  'beta1',
  'beta2',
  'epsilon',
  'weightDecay',
  'energy',
  'holdout',
  'seed',
] as const
export type NumberField = (typeof NUMBER_FIELDS)[number]

/** Every parameter that has a default to go back to. */
export type ParameterField = NumberField | 'useSvd' | 'rest' | 'device'

type PredictorField =
  | 'lambda'
  | 'learningRate'
  | 'hiddenSize'
  | 'batchSize'
  | 'beta1'
  | 'beta2'
  | 'epsilon'
  | 'weightDecay'

const PREDICTOR_FIELDS: readonly PredictorField[] = [
  'lambda',
  'learningRate',
  'hiddenSize',
  'batchSize',
  'beta1',
  'beta2',
  'epsilon',
  'weightDecay',
]

const isPredictorField = (field: ParameterField): field is PredictorField =>
  (PREDICTOR_FIELDS as readonly string[]).includes(field)

/** Range of a number as people read it, and how it is said when it is left. */
interface Range {
  readonly text: string
  readonly error: string
}

const RANGES: Readonly<Record<Exclude<NumberField, 'length' | 'holdout'>, Range>> = {
  lambda: { text: '0 – 1', error: FIELD_ERRORS.between('0', '1') },
  learningRate: { text: 'above 0, up to 1', error: FIELD_ERRORS.above('0', '1') },
  hiddenSize: { text: '1 – 8,192', error: FIELD_ERRORS.whole('1', '8,192') },
  batchSize: { text: '1 – 65,536', error: FIELD_ERRORS.whole('1', '65,536') },
  beta1: { text: '0 – below 1', error: FIELD_ERRORS.below('0', '1') },
  beta2: { text: '0 – below 1', error: FIELD_ERRORS.below('0', '1') },
  epsilon: { text: 'above 0, up to 1', error: FIELD_ERRORS.above('0', '1') },
  weightDecay: { text: '0 – 1', error: FIELD_ERRORS.between('0', '1') },
  energy: { text: 'above 0, up to 1', error: FIELD_ERRORS.above('0', '1') },
  seed: { text: '0 – 4,294,967,295', error: FIELD_ERRORS.whole('0', '4,294,967,295') },
}

/** The range of a field for a model of this depth. */
export function rangeOf(field: NumberField, draft: ProjectDraft, layers: number): Range {
  if (field === 'length') {
    const high = draft.predictor.length.unit === 'epochs' ? 100_000 : 10_000_000
    return {
      text: `1 – ${formatInteger(high)}`,
      error: FIELD_ERRORS.whole('1', formatInteger(high)),
    }
  }
  if (field === 'holdout') {
    const last = formatInteger(Math.max(1, layers - 2))
    return { text: `1 – ${last}, or none`, error: FIELD_ERRORS.whole('1', last) }
  }
  return RANGES[field]
}

/** A value as it is typed. */
export function textOf(field: NumberField, draft: ProjectDraft): string {
  if (field === 'length') return String(draft.predictor.length.value)
  if (field === 'holdout') return draft.holdout === null ? '' : String(draft.holdout)
  return formatNumber(isPredictorField(field) ? draft.predictor[field] : draft[field])
}

/** `0.00005` → `5e-5`, as papers write it. */
export function formatNumber(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value)
}

/** What the typed text makes of the draft, or why it is not taken. */
export function parseField(
  field: NumberField,
  text: string,
  draft: ProjectDraft,
  layers: number,
): { readonly patch: Partial<ProjectDraft> } | { readonly error: string } {
  const trimmed = text.trim().replaceAll(',', '')
  if (field === 'holdout' && trimmed === '') return { patch: { holdout: null } }
  const value = trimmed === '' ? NaN : Number(trimmed)
  if (!Number.isFinite(value)) return { error: FIELD_ERRORS.notANumber }
  const { error } = rangeOf(field, draft, layers)

  if (field === 'length') {
    const found = trainingLengthSchema.safeParse({ ...draft.predictor.length, value })
    return found.success
      ? { patch: { predictor: { ...draft.predictor, length: found.data } } }
      : { error }
  }
  if (field === 'holdout') {
    const isInside = Number.isInteger(value) && value >= 1 && value <= layers - 2
    return isInside ? { patch: { holdout: value } } : { error }
  }
  if (isPredictorField(field)) {
    return predictorSettingsSchema.shape[field].safeParse(value).success
      ? { patch: { predictor: { ...draft.predictor, [field]: value } } }
      : { error }
  }
  return projectDraftSchema.shape[field].safeParse(value).success
    ? { patch: { [field]: value } }
    : { error }
}

/** The draft with one parameter as the preset, or the program's default, has it. */
export function resetPatch(field: ParameterField, draft: ProjectDraft): Partial<ProjectDraft> {
  const preset = PRESET_SETTINGS[draft.preset]
  if (field === 'length') return { predictor: { ...draft.predictor, length: preset.length } }
  if (isPredictorField(field)) return { predictor: { ...draft.predictor, [field]: preset[field] } }
  return { [field]: DEFAULT_DRAFT[field] }
}

/** Whether a parameter is not what the preset, or the program's default, has. */
export function isChanged(field: ParameterField, draft: ProjectDraft): boolean {
  const preset = PRESET_SETTINGS[draft.preset]
  if (field === 'length') {
    const { unit, value } = draft.predictor.length
    return unit !== preset.length.unit || value !== preset.length.value
  }
  if (isPredictorField(field)) return draft.predictor[field] !== preset[field]
  return draft[field] !== DEFAULT_DRAFT[field]
}

/** The preset's, or the program's, value as people read it. */
export function defaultText(field: ParameterField, draft: ProjectDraft): string {
  const preset = PRESET_SETTINGS[draft.preset]
  if (field === 'length') return `${formatInteger(preset.length.value)} ${preset.length.unit}`
  if (isPredictorField(field)) return formatNumber(preset[field])
  if (field === 'holdout') return 'none'
  if (field === 'useSvd') return 'on'
  return String(DEFAULT_DRAFT[field])
}

/**
 * Mini-batches that the predictors train for, fewest and most over the weight types, before any layer is held out.
 * The samples of a type are its directions, at most as many as it has rows, times the layers between two others.
 */
export function trainingSteps(
  draft: ProjectDraft,
  model: ModelSummary,
): { readonly low: number; readonly high: number; readonly isShort: boolean } {
  const head = model.hidden_size / model.num_attention_heads
  const rows = [
    model.hidden_size,
    Math.max(1, Math.round(head * model.num_key_value_heads)),
    Math.min(model.intermediate_size, model.num_hidden_layers * model.hidden_size),
  ]
  const { length, batchSize } = draft.predictor
  const between = Math.max(0, model.num_hidden_layers - 2)
  const steps = rows.map((count) => countSteps(length, between * count, batchSize))
  const low = Math.min(...steps)
  return { low, high: Math.max(...steps), isShort: low < FEW_STEPS }
}
