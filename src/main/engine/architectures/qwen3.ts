import { HEAD_NORMS, LLAMA_FORWARD, llamaModules, llamaShaped, QUERY_KEY_NORMS } from './llamaShape'
import { QWEN_TYPES, QWEN_WINDOW } from './qwen2'

export const qwen3 = llamaShaped({
  modelType: 'qwen3',
  architectureName: 'Qwen3ForCausalLM',
  config: {
    defaultKeyValueHeads: 32,
    defaultHeadDim: 128,
    window: QWEN_WINDOW,
    layerLists: { layer_types: QWEN_TYPES },
  },
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'attentionBias',
    headNorms: HEAD_NORMS,
  }),
  forward: { ...LLAMA_FORWARD, queryKeyNorms: QUERY_KEY_NORMS },
})
