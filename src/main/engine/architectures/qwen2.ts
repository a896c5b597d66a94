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

export const QWEN_TYPES: LayerList = (fields, layer) => {
  const first = fields.natural('max_window_layers', { absent: DEFAULT_WINDOW_START, min: 0 })
  return fields.flag('use_sliding_window') && layer >= first ? SLIDING : FULL
}

export const qwen2 = llamaShaped({
  modelType: 'qwen2',
  architectureName: 'Qwen2ForCausalLM',
  config: {
    defaultKeyValueHeads: 32,
    window: QWEN_WINDOW,
    layerLists: { layer_types: QWEN_TYPES },
  },
  modules: llamaModules({ qkvBias: 'always' }),
})
