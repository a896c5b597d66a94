import { methodNamed, type Method, type MethodSpec } from './methods'
import { badOption } from './methods/gaps'
import type { GrownLayer } from './methods/layers'
import { isLayoutOption, resolveOption, type LayoutValue } from './methods/options'

export type PlannedLayer = GrownLayer & {
  /** `7` for base layer 7, `7½` for one computed half way to layer 8, `7+` for a copy of 7. */
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
 * @throws AppError `bad_request` when a parameter does not fit the depth.
 */
export function planExpansion(spec: MethodSpec, layerCount: number): ExpansionPlan {
  const method = methodNamed(spec.name)
  const { minLayers = 1 } = method
  if (layerCount < minLayers) {
    throw badOption('model', `a model of at least ${minLayers} layers`, `${layerCount} layers`)
  }
  const given: Readonly<Record<string, unknown>> = spec
  const values: Record<string, LayoutValue> = {}
  for (const [key, option] of Object.entries(method.options)) {
    if (isLayoutOption(option)) {
      values[key] = resolveOption(key, option, given[key] as LayoutValue | undefined, layerCount)
    } else if (option.kind === 'layer' && given[key] !== undefined) {
      option.check(key, Number(given[key]), layerCount)
    }
  }
  const { layers, also } = method.plan(values, layerCount)
  return {
    method: spec.name,
    layers: layers.map((layer) => ({ ...layer, label: labelOf(layer) })),
    newLayers: layers.flatMap(({ kind }, index) => (kind === 'original' ? [] : [index])),
    resolved: { ...values, ...also },
  }
}

const FRACTIONS: Readonly<Record<number, string>> = { 0.25: '¼', 0.5: '½', 0.75: '¾' }

function labelOf(layer: GrownLayer): string {
  switch (layer.kind) {
    case 'original':
      return String(layer.source)
    case 'copy':
    case 'identity':
      return `${layer.source}+`
    case 'computed': {
      const fraction = FRACTIONS[layer.position]
      return fraction === undefined ? String(layer.gap + layer.position) : `${layer.gap}${fraction}`
    }
  }
}
