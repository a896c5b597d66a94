import type { DeviceChoice } from '@shared/devices'
import { AppError } from '@shared/errors'
import { DEFAULT_SHARD_BYTES, type ExpandSpec, type OutputDtype } from '@shared/jobs'
import type { Method, MethodSpec, RestChoice } from '@shared/methods'
import type { ModelSummary } from '@shared/model'
import { defaultGaps, formatGaps, parseGaps, planExpansion, type ExpansionPlan } from '@shared/plan'
import {
  countSteps,
  FEW_STEPS,
  PRESET_SETTINGS,
  type PredictorPreset,
  type PredictorSettings,
} from '@shared/predictorSettings'

/** The form as it is typed: numbers are text until they are checked, and empty means the default. */
export interface ExpandForm {
  method: Method
  gaps: string
  groups: string
  overlap: string
  repeat: string
  preset: PredictorPreset
  /** Overrides the preset's length, in mini-batches per weight type. */
  steps: string
  energy: string
  useSvd: boolean
  holdout: string
  rest: RestChoice
  dtype: OutputDtype
  device: DeviceChoice
  seed: string
  out: string
  overwrite: boolean
}

export type FieldErrors = Partial<Record<keyof ExpandForm, string>>

export interface CheckedForm {
  /** What to run; `null` while something is missing or wrong. */
  readonly spec: ExpandSpec | null
  /** What the grown model would look like; `null` while the method's parameters do not fit. */
  readonly plan: ExpansionPlan | null
  readonly errors: FieldErrors
}

export function newForm(): ExpandForm {
  return {
    method: 'lesa',
    gaps: '',
    groups: '',
    overlap: '',
    repeat: '',
    preset: 'paper',
    steps: '',
    energy: '1',
    useSvd: true,
    holdout: '',
    rest: 'mean',
    dtype: 'keep',
    device: 'auto',
    seed: '0',
    out: '',
    overwrite: false,
  }
}

/** Checks the form against the model it is for. Field errors are sentences for people. */
export function checkForm(form: ExpandForm, model: ModelSummary): CheckedForm {
  const errors: FieldErrors = {}
  const method = methodOf(form, errors)
  const seed = integer(form.seed, 'seed', 0, 0xffff_ffff, errors) ?? 0
  const plan =
    (errors.gaps ?? errors.groups ?? errors.overlap ?? errors.repeat)
      ? null
      : planOf(method, model, errors)

  const out = form.out.trim()
  if (out === '') errors.out = 'Say where to write the grown model.'
  const spec: ExpandSpec = {
    kind: 'expand',
    model: model.path,
    out,
    overwrite: form.overwrite,
    method,
    rest: form.rest,
    dtype: form.dtype,
    maxShardBytes: DEFAULT_SHARD_BYTES,
    device: form.device,
    seed,
  }
  const isComplete = Object.keys(errors).length === 0 && plan !== null
  return { spec: isComplete ? spec : null, plan, errors }
}

/** `/models/base`, 18 layers → `/models/base-lesa-18`. */
export function suggestOutput(
  modelPath: string,
  method: Method,
  layers: number,
  separator: string,
): string {
  const path = modelPath.replace(/[/\\]+$/, '')
  const cut = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'))
  const parent = cut < 0 ? '' : path.slice(0, cut)
  return `${parent}${separator}${path.slice(cut + 1)}-${method}-${layers}`
}

/** What the default of a parameter is for a model of this depth, as it would be typed. */
export function defaultsFor(
  layers: number,
): Readonly<Record<'gaps' | 'groups' | 'overlap' | 'repeat', string>> {
  const half = Math.floor(layers / 2)
  return {
    gaps: formatGaps(defaultGaps(layers)),
    groups: String(Math.max(1, Math.floor(layers / 4))),
    overlap: String(Math.floor(layers / 4)),
    repeat: `${layers - half}-${layers - 1}`,
  }
}

/**
 * Mini-batches that the predictor of `q_proj` trains for, and whether they are too few for the prediction to mean
 * anything.
 */
export function trainingSteps(
  settings: PredictorSettings,
  model: ModelSummary,
): { readonly steps: number; readonly isShort: boolean } {
  // `q_proj` has as many rows as the model is wide, or more where heads are wider; that many directions at least.
  const samples = Math.max(0, model.num_hidden_layers - 2) * model.hidden_size
  const steps = countSteps(settings.length, samples, settings.batchSize)
  return { steps, isShort: steps < FEW_STEPS }
}

/** The preset with the form's own length, when one is given. */
export function predictorOf(form: ExpandForm, errors: FieldErrors = {}): PredictorSettings {
  const steps = integer(form.steps, 'steps', 1, 10_000_000, errors)
  const preset = PRESET_SETTINGS[form.preset]
  return steps === undefined ? preset : { ...preset, length: { unit: 'steps', value: steps } }
}

export function isLearned(method: Method): boolean {
  return method === 'lesa' || method === 'noise'
}

function methodOf(form: ExpandForm, errors: FieldErrors): MethodSpec {
  const gaps = optional('gaps', gapsOf(form, errors))
  switch (form.method) {
    case 'lesa':
    case 'noise':
      return {
        name: form.method,
        ...gaps,
        useSvd: form.useSvd,
        energy: fraction(form.energy, errors),
        predictor: predictorOf(form, errors),
        ...optional('holdout', integer(form.holdout, 'holdout', 0, 100_000, errors)),
      }
    case 'interpolation':
    case 'neighbour-mean':
      return { name: form.method, ...gaps }
    case 'llama-pro':
      return {
        name: form.method,
        ...optional('groups', integer(form.groups, 'groups', 1, 100_000, errors)),
      }
    case 'solar':
      return {
        name: form.method,
        ...optional('overlap', integer(form.overlap, 'overlap', 0, 100_000, errors)),
      }
    case 'stack':
      return { name: form.method, ...optional('repeat', rangeOf(form, errors)) }
  }
}

function planOf(
  method: MethodSpec,
  model: ModelSummary,
  errors: FieldErrors,
): ExpansionPlan | null {
  try {
    return planExpansion(method, model.num_hidden_layers)
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown
    const { field, expected } = thrown.context ?? {}
    const sentence = expected === undefined ? thrown.message : `Give ${expected}.`
    errors[isPlanField(field) ? field : 'method'] = sentence
    return null
  }
}

/** The fields that the plan is made of; it names them as the form does. */
const PLAN_FIELDS = ['gaps', 'groups', 'overlap', 'repeat', 'holdout'] as const

function isPlanField(field: string | undefined): field is (typeof PLAN_FIELDS)[number] {
  return PLAN_FIELDS.some((known) => known === field)
}

function gapsOf(form: ExpandForm, errors: FieldErrors): number[] | undefined {
  const hasGaps = form.method !== 'llama-pro' && form.method !== 'solar' && form.method !== 'stack'
  if (!hasGaps || form.gaps.trim() === '') return undefined
  try {
    const gaps = parseGaps(form.gaps)
    if (gaps.length <= 10_000) return gaps
    errors.gaps = 'Give at most 10,000 gaps.'
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown
    errors.gaps = 'Give gaps such as 5-10 or 3,7,7.'
  }
  return undefined
}

function rangeOf(form: ExpandForm, errors: FieldErrors): [number, number] | undefined {
  if (form.repeat.trim() === '') return undefined
  const match = /^\s*(\d{1,5})\s*-\s*(\d{1,5})\s*$/.exec(form.repeat)
  if (match) return [Number(match[1]), Number(match[2])]
  errors.repeat = 'Give the first and the last layer, such as 6-11.'
  return undefined
}

function integer(
  text: string,
  field: keyof ExpandForm,
  low: number,
  high: number,
  errors: FieldErrors,
): number | undefined {
  if (text.trim() === '') return undefined
  const value = /^\s*\d+\s*$/.test(text) ? Number(text) : NaN
  if (value >= low && value <= high) return value
  errors[field] =
    `Give a whole number, ${low.toLocaleString('en')} to ${high.toLocaleString('en')}.`
  return undefined
}

function fraction(text: string, errors: FieldErrors): number {
  const value = text.trim() === '' ? 1 : Number(text)
  if (value > 0 && value <= 1) return value
  errors.energy = 'Give a share above 0, up to 1.'
  return 1
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V })
}
