import { AppError } from '@shared/errors'
import type { RawConfig, WindowRule } from './config'

/** Lists that have nothing to do with layers, whatever their length happens to be. */
const NOT_PER_LAYER =
  /^architectures$|_token_ids?$|_tokens$|^torch_dtype$|^dtype$|modules|^auto_map$/

/** Lists of layer indices, as opposed to lists with one entry per layer. */
const LAYER_INDEX_LISTS: readonly string[] = ['mlp_only_layers']

/**
 * The config of a model whose layer `j` stands where layer `sources[j]` of the base stood.
 *
 * Lists with one entry per layer follow their layers. Where a window begins at a layer number, the types are spelled
 * out as `layer_types`, which newer loaders obey, and the number is set so that older ones agree where they can.
 */
export function deepenConfig(
  rawConfig: RawConfig,
  sources: readonly number[],
  window: WindowRule,
): Record<string, unknown> {
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
    deepened[key] = followLayers(key, value, layers, sources)
  }
  deepened['num_hidden_layers'] = sources.length
  if (window === 'by_layer' && hasWindow(rawConfig)) {
    Object.assign(deepened, windowKeys(rawConfig, layers, sources))
  }
  return deepened
}

function followLayers(
  key: string,
  value: unknown,
  layers: number,
  sources: readonly number[],
): unknown {
  if (!Array.isArray(value) || NOT_PER_LAYER.test(key)) return value
  const list: readonly unknown[] = value
  if (LAYER_INDEX_LISTS.includes(key)) {
    return sources.flatMap((source, layer) => (list.includes(source) ? [layer] : []))
  }
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
