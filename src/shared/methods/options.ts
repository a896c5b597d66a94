/**
 * @file What a method lets people choose. An option's kind decides its schema, its flag on the command line, its control
 * in the form and how its value is written; what is its own stands in the method's file.
 */
import type { PredictorSettings } from '../predictorSettings'
import { badOption, defaultGaps } from './gaps'

interface Common {
  /** Its turn among the flags that concern training; records keep the options' own order. */
  readonly place?: number
  /** In the form and in comparisons. */
  readonly label: string
  /** What the command line's help says of it. */
  readonly help: string
}

/** What has a default for every depth. */
interface ByDepth<Value> extends Common {
  readonly default: (layers: number) => Value
  /** The default in words. */
  readonly defaultText: string
  /**
   * Another option of the method, which says the same in another way: only one of the two can be given. Where neither is,
   * the first of them takes its default.
   */
  readonly excludes?: string
}

/** Gaps that get new layers. */
export interface GapsOption extends ByDepth<readonly number[]> {
  readonly kind: 'gaps'
  /** Gaps that a model of so many layers has for this method. */
  readonly count: (layers: number) => number
}

/** A number of layers or of groups of them. */
export interface CountOption extends ByDepth<number> {
  readonly kind: 'count'
  readonly min: number
  readonly max: (layers: number) => number
  /** Why there is a most: `one per layer`. */
  readonly maxText: string
  /** What it counts: `group`, `groups`. */
  readonly unit: readonly [one: string, many: string]
  /** What a value comes to. @param period As of `Pattern`. */
  readonly hint: (value: number, layers: number, period: number) => string
}

/** Neighbouring layers, the first and the last. */
export interface RangeOption extends ByDepth<readonly [first: number, last: number]> {
  readonly kind: 'range'
}

/** On unless it is switched off, by `--no-x` where the option is called `useX`. */
export interface SwitchOption extends Common {
  readonly kind: 'switch'
  /** Its row of the model card. */
  readonly card: { readonly name: string; readonly on: string; readonly off: string }
}

/** Off unless it is switched on, by a flag of its name. */
export interface FlagOption extends Common {
  readonly kind: 'flag'
  /** Its row of the model card. */
  readonly card: string
}

/** Off unless it is switched on; it bears on the layout, of models whose layers are of several types. */
export interface PatternOption extends Common {
  readonly kind: 'pattern'
  /** Its row of the model card. */
  readonly card: string
}

/** Above 0, up to 1, which is the default. */
export interface ShareOption extends Common {
  readonly kind: 'share'
}

/** A whole number within bounds. */
export interface WholeOption extends Common {
  readonly kind: 'whole'
  readonly min: number
  readonly max: number
  readonly default: number
}

/** Inner layers, or none. */
export interface LayersOption extends Common {
  readonly kind: 'layers'
  /** @throws AppError `bad_request` when a model of so many layers has no such layers. */
  readonly check: (key: string, chosen: readonly number[], layers: number) => void
}

/** How predictors are trained. */
export interface PredictorOption {
  readonly kind: 'predictor'
  readonly place?: number
}

/** Options that decide the layout: optional, with a default for every depth. */
export type LayoutOption = GapsOption | CountOption | RangeOption
export type Option =
  | LayoutOption
  | SwitchOption
  | FlagOption
  | PatternOption
  | ShareOption
  | WholeOption
  | LayersOption
  | PredictorOption
export type Options = Readonly<Record<string, Option>>

interface Values {
  gaps: readonly number[]
  count: number
  range: readonly [first: number, last: number]
  switch: boolean
  flag: boolean
  pattern: true
  share: number
  whole: number
  layers: readonly number[]
  predictor: PredictorSettings
}

/** What an option's value is. */
export type ValueOf<O extends Option> = Values[O['kind']]
export type LayoutValue = ValueOf<LayoutOption>
/** Options that may be left out. */
export type OptionalOption = LayoutOption | PatternOption | LayersOption

export function isLayoutOption(option: Option): option is LayoutOption {
  return option.kind === 'gaps' || option.kind === 'count' || option.kind === 'range'
}

export function isOptional(option: Option): option is OptionalOption {
  return isLayoutOption(option) || option.kind === 'pattern' || option.kind === 'layers'
}

/** The options that count for these values: of two that exclude each other the one that is given, or else the first. */
export function usedOptions(
  options: Options,
  values: Readonly<Record<string, unknown>>,
): (readonly [key: string, option: Option])[] {
  const keys = Object.keys(options)
  const isGiven = (key: string): boolean => values[key] !== undefined && values[key] !== null
  return Object.entries(options).filter(([key, option]) => {
    const other = isLayoutOption(option) ? option.excludes : undefined
    if (other === undefined) return true
    const isFirst = keys.indexOf(key) < keys.indexOf(other)
    return isFirst ? isGiven(key) || !isGiven(other) : isGiven(key) && !isGiven(other)
  })
}

/** What an option is that has one default for every model. */
export function defaultOf(
  option: SwitchOption | FlagOption | ShareOption | WholeOption,
): boolean | number {
  switch (option.kind) {
    case 'switch':
      return true
    case 'flag':
      return false
    case 'share':
      return 1
    case 'whole':
      return option.default
  }
}

export function whole(option: Omit<WholeOption, 'kind'>): WholeOption {
  return { kind: 'whole', ...option }
}

/** Of methods that put layers into gaps. */
export const keepPattern: PatternOption = {
  kind: 'pattern',
  label: 'Keep the pattern',
  help: "put in whole periods of the layers' types, so that these go on repeating",
  card: 'keep_pattern',
}

const GAPS_HELP = 'gaps between layers, 5-10 or 3,7,7; gap i lies between i and i+1'

/** @param afterLast Whether the place after the last layer counts as a gap: what copies needs no right neighbour. */
export function gaps({ afterLast }: { readonly afterLast: boolean }): GapsOption {
  return {
    kind: 'gaps',
    label: 'Gaps',
    help: GAPS_HELP,
    defaultText: 'the later half, one layer each',
    default: defaultGaps,
    count: (layers) => (afterLast ? layers : Math.max(0, layers - 1)),
  }
}

export function count(option: Omit<CountOption, 'kind'>): CountOption {
  return { kind: 'count', ...option }
}

export function layerRange(option: Omit<RangeOption, 'kind'>): RangeOption {
  return { kind: 'range', ...option }
}

/**
 * A layout option's value for a model, in order.
 *
 * @param given What was asked for; the default without it.
 * @throws AppError `bad_request` when it does not fit the depth.
 */
export function resolveOption(
  key: string,
  option: LayoutOption,
  given: LayoutValue | undefined,
  layers: number,
): LayoutValue {
  const value = given ?? option.default(layers)
  if (option.kind === 'count') {
    const max = option.max(layers)
    if (Number(value) <= max) return value
    throw badOption(key, `at most ${max}${option.maxText}`, String(value))
  }
  if (typeof value === 'number') throw badOption(key, 'a list of layers', String(value))
  if (option.kind === 'range') {
    const [first = NaN, last = NaN] = value
    if (first <= last && last < layers) return value
    throw badOption(key, `layers within 0-${layers - 1}`, `${first}-${last}`)
  }
  const limit = option.count(layers)
  const outside = value.find((gap) => !Number.isInteger(gap) || gap < 0 || gap >= limit)
  if (outside !== undefined) throw badOption(key, `gaps within 0-${limit - 1}`, String(outside))
  if (value.length === 0) throw badOption(key, 'at least one gap', 'none')
  return [...value].sort((a, b) => a - b)
}
