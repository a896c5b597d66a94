import type { LayerList, WindowRule } from './config'
import { DEFAULT_WINDOW_START } from './deepenConfig'
import { FULL, SLIDING } from './layerTypes'
import { llamaModules, llamaShaped } from './llamaShape'

/** Layers from `max_window_layers` on have the window, if it is switched on. */
export const QWEN_WINDOW: WindowRule = {
  layers: 'by_type',
  isSwitched: true,
  startKey: 'max_window_layers',
}

/** Where the window begins in a config of a model that sees, if it does not say so. */
export const QWEN_VL_START = 80

export function qwenTypes(start: number): LayerList {
  return (fields, layer) => {
    const first = fields.natural('max_window_layers', { absent: start, min: 0 })
    return fields.flag('use_sliding_window') && layer >= first ? SLIDING : FULL
  }
}

export const QWEN_TYPES = qwenTypes(DEFAULT_WINDOW_START)

export const qwen2 = llamaShaped({
  modelType: 'qwen2',
  architectureName: 'Qwen2ForCausalLM',
  config: {
    sizes: {
      vocab_size: 151_936,
      hidden_size: 4096,
      intermediate_size: 22_016,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      max_position_embeddings: 32_768,
    },
    defaultKeyValueHeads: 32,
    window: QWEN_WINDOW,
    layerLists: { layer_types: QWEN_TYPES },
  },
  modules: llamaModules({ qkvBias: 'always' }),
})
