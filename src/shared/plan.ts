import { methodNamed, type Method, type MethodSpec } from './methods'
import { badOption } from './methods/gaps'
import { range, sidesOf, type GrownLayer, type LayerTypes } from './methods/layers'
import { isLayoutOption, resolveOption, usedOptions, type LayoutValue } from './methods/options'

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
  for (const [key, option] of usedOptions(method.options, given)) {
    if (isLayoutOption(option)) {
      const value = resolveOption(key, option, given[key] as LayoutValue | undefined, layerCount)
      const isChosen = given[key] !== undefined || option.kind !== 'gaps' || !method.fill
      values[key] = isChosen ? value : possible(value as readonly number[], layerCount, types)
    } else if (option.kind === 'layers' && given[key] !== undefined) {
      option.check(key, given[key] as readonly number[], layerCount)
    }
  }
  const { layers, also } = method.plan(values, layerCount, types)
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

/** Those of the gaps that nobody chose in which a layer can be computed. */
function possible(gaps: readonly number[], layerCount: number, types: LayerTypes): LayoutValue {
  const fits = (gap: number): boolean => sidesOf(gap, layerCount, types) !== null
  const own = gaps.filter(fits)
  return own.length > 0 ? own : range(0, layerCount).filter(fits).slice(-gaps.length)
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
