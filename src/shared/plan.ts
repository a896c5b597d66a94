import { methodNamed, type Method, type MethodSpec } from './methods'
import type { MethodDefinition } from './methods/define'
import { badOption } from './methods/gaps'
import {
  periodOf,
  possibleGaps,
  range,
  type GrownLayer,
  type LayerTypes,
  type Pattern,
} from './methods/layers'
import {
  isLayoutOption,
  resolveOption,
  usedOptions,
  type LayoutOption,
  type LayoutValue,
} from './methods/options'

export type PlannedLayer = GrownLayer & {
  /** No two layers of a plan have the same; see {@link labelLayers}. */
  readonly label: string
}

export interface ExpansionPlan {
  readonly method: Method
  /** The grown model's layers, first to last. */
  readonly layers: readonly PlannedLayer[]
  /** Indices in the grown model of the layers that the base model does not have. */
  readonly newLayers: readonly number[]
  /** The parameters that decided the layout, defaults filled in, and what followed from them. */
  readonly resolved: Readonly<Record<string, LayoutValue>>
}

/**
 * Lays out the grown model: which layer is an original, which a copy and which is to be computed.
 *
 * @param layerCount `num_hidden_layers` of the base model.
 * @param types What type each of its layers is of; nothing where all are alike.
 * @throws AppError `bad_request` when a parameter does not fit the depth.
 */
export function planExpansion(
  spec: MethodSpec,
  layerCount: number,
  types: LayerTypes = [],
): ExpansionPlan {
  const method = methodNamed(spec.name)
  const { minLayers = 1 } = method
  if (layerCount < minLayers) {
    throw badOption('model', `a model of at least ${minLayers} layers`, `${layerCount} layers`)
  }
  const given: Readonly<Record<string, unknown>> = spec
  const values: Record<string, LayoutValue> = {}
  for (const [key, option] of Object.entries(method.options)) {
    const other = isLayoutOption(option) ? option.excludes : undefined
    if (other !== undefined && given[key] !== undefined && given[other] !== undefined) {
      throw badOption(key, `either ${key} or ${other}`, 'both')
    }
  }
  const pattern = patternOf(given['keepPattern'] === true, types)
  for (const [key, option] of usedOptions(method.options, given)) {
    if (isLayoutOption(option)) {
      const value = given[key] ?? defaultLayout(method, option, layerCount, pattern)
      values[key] = resolveOption(key, option, value as LayoutValue, layerCount)
    } else if (option.kind === 'layers' && given[key] !== undefined) {
      option.check(key, given[key] as readonly number[], layerCount)
    }
  }
  const { layers, also } = method.plan(values, layerCount, pattern)
  if (layers.length <= layerCount) {
    const [key] = Object.keys(values)
    throw badOption(key ?? 'method', 'a plan that adds layers', 'none are added')
  }
  const labels = labelLayers(layers)
  return {
    method: spec.name,
    layers: layers.map((layer, index) => ({ ...layer, label: labels[index] ?? '' })),
    newLayers: layers.flatMap(({ kind }, index) => (kind === 'original' ? [] : [index])),
    resolved: { ...values, ...also },
  }
}

/**
 * How the types of a model's layers bear on a method's plan.
 *
 * @throws AppError `bad_request` where the pattern is to be kept and there is none.
 */
export function patternOf(isKept: boolean, types: LayerTypes): Pattern {
  if (!isKept) return { types, period: 1 }
  const period = periodOf(types)
  if (period !== null) return { types, period }
  throw badOption(
    'keepPattern',
    'layers whose types repeat, at least twice',
    `${types.length} layers of ${new Set(types).size} types in no such order`,
  )
}

/**
 * What an option that nobody chose comes to: gaps in which a layer can be computed, and of whole periods as many as make
 * about as many layers, each a period from the next.
 */
export function defaultLayout(
  method: Pick<MethodDefinition, 'fill'>,
  option: LayoutOption,
  layerCount: number,
  pattern: Pattern,
): LayoutValue {
  const { period } = pattern
  if (option.kind === 'range') return option.default(layerCount)
  if (option.kind === 'count')
    return Math.max(option.min, Math.floor(option.default(layerCount) / period))
  const usual = option.default(layerCount)
  const count = Math.max(1, Math.floor(usual.length / period))
  if (period > 1) {
    return range(0, count).map((index) => layerCount - 1 - period * (count - index))
  }
  if (!method.fill) return usual
  const possible = possibleGaps(layerCount, pattern)
  const own = usual.filter((gap) => possible.includes(gap))
  return own.length > 0 ? own : possible.slice(-usual.length)
}

/** The gaps that a plan fills, as often as each gets a layer, or a period of them. */
export function filledGaps(
  { layers }: Pick<ExpansionPlan, 'layers'>,
  { period }: Pick<Pattern, 'period'>,
): number[] {
  let before = 0
  const gaps = layers.flatMap(({ kind, source }) => {
    if (kind === 'original') before = source
    return kind === 'original' ? [] : [before]
  })
  return gaps.filter((_, index) => index % period === 0)
}

/** Gaps that a method can put layers into. */
export function gapsOf(
  method: Pick<MethodDefinition, 'fill' | 'options'>,
  layerCount: number,
  pattern: Pattern,
): number[] {
  if (method.fill) return possibleGaps(layerCount, pattern)
  const { gaps } = method.options
  return range(pattern.period - 1, gaps?.kind === 'gaps' ? gaps.count(layerCount) : 0)
}

/**
 * What pictures call the layers: `7` is base layer 7, `7½` one computed between 7 and 8, `7+` a copy of 7. Several are
 * numbered in their order: `7·1`, `7·2` … and `7+1`, `7+2` …
 */
export function labelLayers(layers: readonly GrownLayer[]): string[] {
  const keys = layers.map((layer) => `${placeOf(layer)}${SIGNS[layer.kind][1]}`)
  const counts = countBy(keys)
  const seen = new Map<string, number>()
  return layers.map((layer, index) => {
    const { kind } = layer
    const source = placeOf(layer)
    const key = keys[index] ?? ''
    const number = (seen.get(key) ?? 0) + 1
    seen.set(key, number)
    const [alone, several] = SIGNS[kind]
    return kind === 'original' || counts.get(key) === 1
      ? `${source}${alone}`
      : `${source}${several}${number}`
  })
}

/** The layer that a layer is, copies or comes after. */
function placeOf(layer: GrownLayer): number {
  return layer.kind === 'computed' ? layer.gap : layer.source
}

/** After the layer that a layer is, copies or follows: when it is the only one there, and before its number. */
const SIGNS = {
  original: ['', ''],
  copy: ['+', '+'],
  identity: ['+', '+'],
  computed: ['½', '·'],
} as const satisfies Record<GrownLayer['kind'], readonly [string, string]>

function countBy(keys: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}
