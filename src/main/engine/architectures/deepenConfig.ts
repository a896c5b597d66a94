import { AppError } from '@shared/errors'
import type { ConfigRules, RawConfig } from './config'

/** Lists that have nothing to do with layers, whatever their length happens to be. */
const NOT_PER_LAYER =
  /^architectures$|_token_ids?$|_tokens$|^torch_dtype$|^dtype$|modules|^auto_map$/

/**
 * The config of a model whose layer `j` stands where layer `sources[j]` of the base stood.
 *
 * Lists with one entry per layer follow their layers. Where a window begins at a layer number, the types are spelled
 * out as `layer_types`, which newer loaders obey, and the number is set so that older ones agree where they can.
 */
export function deepenConfig(
  rawConfig: RawConfig,
  sources: readonly number[],
  rules: ConfigRules,
): Record<string, unknown> {
  const { path } = rules
  if (path !== null) {
    const inner = rawConfig[path] as RawConfig
    return { ...rawConfig, [path]: deepenConfig(inner, sources, { ...rules, path: null }) }
  }
  const layers = Number(rawConfig['num_hidden_layers'])
  const outside = sources.find(
    (source) => !Number.isInteger(source) || source < 0 || source >= layers,
  )
  if (outside !== undefined || sources.length === 0) {
    throw new AppError('bug', 'The grown layers do not come from layers of the model.', {
      context: { expected: `0 to ${layers - 1}`, actual: String(outside ?? 'none') },
    })
  }
  const deepened: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(rawConfig)) {
    deepened[key] = rules.layerIndexLists.includes(key)
      ? followIndices(value, sources)
      : followLayers(key, value, layers, sources)
  }
  deepened['num_hidden_layers'] = sources.length
  if (rules.window === 'by_layer' && hasWindow(rawConfig)) {
    Object.assign(deepened, windowKeys(rawConfig, layers, sources))
  }
  return deepened
}

/** The new places of the layers that a list names. */
function followIndices(value: unknown, sources: readonly number[]): unknown {
  if (!Array.isArray(value)) return value
  return sources.flatMap((source, layer) => (value.includes(source) ? [layer] : []))
}

function followLayers(
  key: string,
  value: unknown,
  layers: number,
  sources: readonly number[],
): unknown {
  if (!Array.isArray(value) || NOT_PER_LAYER.test(key)) return value
  const list: readonly unknown[] = value
  return list.length === layers ? sources.map((source) => list[source]) : value
}

function hasWindow(rawConfig: RawConfig): boolean {
  return rawConfig['use_sliding_window'] === true && rawConfig['sliding_window'] !== null
}

function windowKeys(
  rawConfig: RawConfig,
  layers: number,
  sources: readonly number[],
): Record<string, unknown> {
  const listed: unknown = rawConfig['layer_types']
  const begin = Number(rawConfig['max_window_layers'] ?? 28)
  const typesOfBase: readonly unknown[] = Array.isArray(listed)
    ? listed
    : Array.from({ length: layers }, (_, layer) =>
        layer >= begin ? 'sliding_attention' : 'full_attention',
      )
  const types = sources.map((source) => typesOfBase[source])
  const firstSliding = types.indexOf('sliding_attention')
  // Without a sliding layer the window must begin beyond the last one.
  const maxWindowLayers = firstSliding === -1 ? Math.max(begin, types.length) : firstSliding
  return { layer_types: types, max_window_layers: maxWindowLayers }
}
