import type { Fields, LayerList } from './config'
import { FULL, SLIDING } from './layerTypes'
import { llamaModules, llamaShaped } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** 1 where a layer turns queries and keys by their positions, whatever the key is called; every fourth does not. */
const listed: LayerList = (fields, layer) => {
  const period = fields.natural('no_rope_layer_interval', { absent: 4, whenNull: 4 })
  return (layer + 1) % period === 0 ? 0 : 1
}

function hasRope(fields: Fields, layer: number): boolean {
  const list = fields.raw['no_rope_layers']
  return (Array.isArray(list) ? list[layer] : listed(fields, layer)) === 1
}

export const smollm3 = llamaShaped({
  modelType: 'smollm3',
  architectureName: 'SmolLM3ForCausalLM',
  fixedPeriod: 4,
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'outputBias',
    mlpBias: 'mlpBias',
  }),
  config: {
    defaultKeyValueHeads: 4,
    tiedByDefault: true,
    defaultSlidingWindow: null,
    // The switch decides what the types are where none are listed, and nothing else.
    window: { layers: 'by_type', isSwitched: false, startKey: null },
    layerLists: {
      no_rope_layers: listed,
      layer_types: (fields, layer) =>
        fields.flag('use_sliding_window') && fields.has('sliding_window') && !hasRope(fields, layer)
          ? SLIDING
          : FULL,
    },
    rope: { ...LLAMA_ROPE, defaultTheta: 2_000_000, layers: 'listed' },
  },
})
