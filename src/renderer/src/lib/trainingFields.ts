import { CONTEXT_TOKENS, isWithinBounds, SEED, type Bounds } from '@shared/bounds'
import { MAX_RACERS } from '@shared/jobs'
import { formatGaps } from '@shared/methods/gaps'
import { meaningsOf, readNumber } from '@shared/numbers'
import {
  defaultEvalEvery,
  defaultWarmup,
  MAX_DEFAULT_CONTEXT,
  PRETRAIN_DEFAULTS,
} from '@shared/pretraining'
import { DEFAULT_TRAINING, type TrainingSettings } from '@shared/trainings'
import { parseRanges } from '@shared/ranges'
import { formatNumber } from '@shared/units'
import { FIELD_ERRORS } from '../strings/fields'
import { describeBounds } from './bounds'
import { formatInteger } from './numbers'

/** How a training goes; what is trained and on what is chosen beside it. */
export type TrainingOptions = Omit<
  TrainingSettings,
  'runs' | 'texts' | 'evalText' | 'forgettingText'
>

export const TRAINING_PRESETS = ['try', 'short', 'long'] as const
export type TrainingPreset = (typeof TRAINING_PRESETS)[number]

/** Around the usual rate of new blocks: LLaMA Pro's 2e-4 suits 7 billion parameters, smaller models take more. */
const TRIED_RATES = [1e-4, 3e-4, 1e-3] as const

/** A first look; enough to tell starts apart; and as far as one goes on one machine. */
export const TRAINING_PRESET_OPTIONS: Readonly<Record<TrainingPreset, TrainingOptions>> = {
  try: DEFAULT_TRAINING,
  short: { ...DEFAULT_TRAINING, amount: { steps: 1_000 }, learningRates: [...TRIED_RATES] },
  long: { ...DEFAULT_TRAINING, amount: { steps: 10_000 }, learningRates: [...TRIED_RATES] },
}

export const AMOUNT_UNITS = ['steps', 'tokens', 'epochs'] as const
export type AmountUnit = (typeof AMOUNT_UNITS)[number]

/** Options that are one number each. */
const NUMBERS = {
  batch: { min: 1, max: 4096, isWhole: true },
  outputRateFactor: { min: 0, max: 1000, excludes: 'min' },
  weightDecay: { min: 0, max: 1 },
  beta1: { min: 0, max: 1, excludes: 'max' },
  beta2: { min: 0, max: 1, excludes: 'max' },
  epsilon: { min: 0, max: 1, excludes: 'min' },
  clip: { min: 0, max: 1e6 },
  evalShare: { min: 0, max: 0.5 },
  saveEvery: { min: 0, max: 10_000, excludes: 'min' },
  seed: SEED,
  repeats: { min: 1, max: MAX_RACERS, isWhole: true },
} as const satisfies Partial<Record<keyof TrainingOptions, Bounds>>

/** The same; what is left empty follows from the rest. */
const OPTIONAL_NUMBERS = {
  context: CONTEXT_TOKENS,
  warmup: { min: 0, max: 10_000_000, isWhole: true },
  evalEvery: { min: 1, max: 10_000_000, isWhole: true },
} as const satisfies Partial<Record<keyof TrainingOptions, Bounds>>

const AMOUNTS: Readonly<Record<AmountUnit, Bounds>> = {
  steps: { min: 1, max: 10_000_000, isWhole: true },
  tokens: { min: 1, max: Number.MAX_SAFE_INTEGER, isWhole: true },
  epochs: { min: 0, max: 10_000, excludes: 'min' },
}
const RATE: Bounds = { min: 0, max: 10, excludes: 'min' }
const MAX_RATES = 16

type NumberField = keyof typeof NUMBERS
type OptionalField = keyof typeof OPTIONAL_NUMBERS

/** Options that are typed. */
export const TYPED_FIELDS = [
  'amount',
  'context',
  'batch',
  'learningRates',
  'outputRateFactor',
  'warmup',
  'weightDecay',
  'beta1',
  'beta2',
  'epsilon',
  'clip',
  'evalShare',
  'evalEvery',
  'saveEvery',
  'seed',
  'repeats',
  'train',
  'textField',
] as const satisfies readonly (keyof TrainingOptions)[]
export type TypedField = (typeof TYPED_FIELDS)[number]

/** Every option that has a default to go back to. */
export type TrainingField = TypedField | 'order' | 'schedule' | 'trainedParts' | 'device'

export function unitOf({ amount }: Pick<TrainingOptions, 'amount'>): AmountUnit {
  return 'steps' in amount ? 'steps' : 'tokens' in amount ? 'tokens' : 'epochs'
}

export function amountOf(unit: AmountUnit, value: number): TrainingOptions['amount'] {
  if (unit === 'steps') return { steps: value }
  return unit === 'tokens' ? { tokens: value } : { epochs: value }
}

function amountValue({ amount }: Pick<TrainingOptions, 'amount'>): number {
  if ('steps' in amount) return amount.steps
  return 'tokens' in amount ? amount.tokens : amount.epochs
}

/** Tokens of a window, whoever says so. @param own The model's own context. */
export function contextOf({ context }: Pick<TrainingOptions, 'context'>, own: number): number {
  return context ?? Math.min(own, MAX_DEFAULT_CONTEXT)
}

/** Optimiser steps; `null` where it depends on how many tokens the texts have. */
export function stepsOf(options: TrainingOptions, ownContext: number): number | null {
  const { amount } = options
  if ('steps' in amount) return amount.steps
  if (!('tokens' in amount)) return null
  return Math.max(1, Math.ceil(amount.tokens / (options.batch * contextOf(options, ownContext))))
}

/** Steps of warm-up, whoever says so. */
export function warmupOf({ warmup }: Pick<TrainingOptions, 'warmup'>, steps: number): number {
  return Math.min(steps, warmup ?? defaultWarmup(steps))
}

function isNumberField(field: TypedField): field is NumberField {
  return field in NUMBERS
}

function isOptionalField(field: TypedField): field is OptionalField {
  return field in OPTIONAL_NUMBERS
}

/** An option as it is typed. */
export function textOf(field: TypedField, options: TrainingOptions): string {
  if (field === 'amount') return String(amountValue(options))
  if (field === 'learningRates') return options.learningRates.map(formatNumber).join('; ')
  if (field === 'train') return options.train === 'new' ? '' : formatGaps(options.train)
  if (field === 'textField') return options.textField
  if (isOptionalField(field)) return options[field] === undefined ? '' : String(options[field])
  return formatNumber(options[field])
}

/** What the typed text makes of the options, or why it is not taken. */
export function parseField(
  field: TypedField,
  text: string,
  options: TrainingOptions,
): { readonly options: TrainingOptions } | { readonly error: string } {
  const typed = text.trim()
  if (field === 'textField') {
    return typed === ''
      ? { error: FIELD_ERRORS.nothing }
      : { options: { ...options, textField: typed } }
  }
  if (field === 'train') return parseLayers(typed, options)
  if (field === 'learningRates') return parseRates(typed, options)
  if (isOptionalField(field)) {
    if (typed === '') {
      const { [field]: _, ...rest } = options
      return { options: rest }
    }
    return taken(typed, OPTIONAL_NUMBERS[field], (value) => ({ ...options, [field]: value }))
  }
  if (field === 'amount') {
    const unit = unitOf(options)
    return taken(typed, AMOUNTS[unit], (value) => ({ ...options, amount: amountOf(unit, value) }))
  }
  return taken(typed, NUMBERS[field], (value) => ({ ...options, [field]: value }))
}

function taken(
  text: string,
  bounds: Bounds,
  make: (value: number) => TrainingOptions,
): { readonly options: TrainingOptions } | { readonly error: string } {
  const read = readNumber(text, bounds.isWhole)
  if (!('value' in read)) {
    const { notANumber, grouped } = FIELD_ERRORS
    return { error: read.problem === 'grouped' ? grouped(...meaningsOf(text)) : notANumber }
  }
  return isWithinBounds(read.value, bounds)
    ? { options: make(read.value) }
    : { error: describeBounds(bounds).error }
}

/** Separated by semicolons or spaces: a comma may be a decimal sign. */
function parseRates(text: string, options: TrainingOptions): ReturnType<typeof parseField> {
  const parts = text.split(/\s*;\s*|\s+/).filter((part) => part !== '')
  if (parts.length === 0) return { error: FIELD_ERRORS.notANumber }
  if (parts.length > MAX_RATES) return { error: FIELD_ERRORS.tooMany(MAX_RATES) }
  const rates: number[] = []
  for (const part of parts) {
    const found = taken(part, RATE, (value) => ({ ...options, learningRates: [value] }))
    if ('error' in found) return found
    rates.push(...found.options.learningRates)
  }
  return { options: { ...options, learningRates: [...new Set(rates)] } }
}

function parseLayers(text: string, options: TrainingOptions): ReturnType<typeof parseField> {
  if (text === '' || text.toLowerCase() === 'new') return { options: { ...options, train: 'new' } }
  const found = parseRanges(text)
  if (!('numbers' in found)) return { error: FIELD_ERRORS.layers }
  const layers = [...new Set(found.numbers)].sort((a, b) => a - b)
  return { options: { ...options, train: layers } }
}

/** The range of a typed option, as people read it; `undefined` where it is no number. */
export function rangeOf(field: TypedField, options: TrainingOptions): string | undefined {
  if (field === 'train' || field === 'textField') return undefined
  if (field === 'learningRates') return describeBounds(RATE).text
  if (field === 'amount') {
    const unit = unitOf(options)
    return unit === 'tokens' ? undefined : describeBounds(AMOUNTS[unit]).text
  }
  const bounds = isNumberField(field) ? NUMBERS[field] : OPTIONAL_NUMBERS[field]
  return describeBounds(bounds).text
}

/** Whether an option is not what the preset has. */
export function isChanged(
  field: TrainingField,
  options: TrainingOptions,
  preset: TrainingPreset,
): boolean {
  const usual = TRAINING_PRESET_OPTIONS[preset]
  return JSON.stringify(options[field]) !== JSON.stringify(usual[field])
}

/** The options with one as the preset has it. */
export function withPreset(
  field: TrainingField,
  options: TrainingOptions,
  preset: TrainingPreset,
): TrainingOptions {
  const { [field]: _, ...rest } = options
  const usual = TRAINING_PRESET_OPTIONS[preset]
  return { ...rest, ...(field in usual ? { [field]: usual[field] } : {}) } as TrainingOptions
}

/** The preset's value as people read it; of what it leaves open, what that comes to. */
export function defaultText(
  field: TypedField,
  options: TrainingOptions,
  preset: TrainingPreset,
  ownContext: number,
): string {
  const usual = TRAINING_PRESET_OPTIONS[preset]
  const open = openText(field, options, ownContext)
  if (open !== null) return open
  if (field === 'amount') return `${formatInteger(amountValue(usual))} ${unitOf(usual)}`
  return textOf(field, usual)
}

/** What an option that is left empty comes to; `null` for one that is never empty. */
export function openText(
  field: TypedField,
  options: TrainingOptions,
  ownContext: number,
): string | null {
  const steps = stepsOf(options, ownContext)
  switch (field) {
    case 'context':
      return formatInteger(contextOf({}, ownContext))
    case 'warmup':
      return steps === null ? 'automatic' : formatInteger(warmupOf({}, steps))
    case 'evalEvery':
      return steps === null ? 'automatic' : formatInteger(defaultEvalEvery(steps))
    case 'train':
      return 'the new layers'
    default:
      return null
  }
}

/** A field of `.jsonl` and a column of `.parquet` has a name that most texts use. */
export const USUAL_TEXT_FIELD = PRETRAIN_DEFAULTS.textField
