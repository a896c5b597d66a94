import { HEAD_NORMS, LLAMA_FORWARD, llamaModules, llamaShaped, QUERY_KEY_NORMS } from './llamaShape'
import { QWEN_TYPES, QWEN_WINDOW } from './qwen2'

export const qwen3 = llamaShaped({
  modelType: 'qwen3',
  architectureName: 'Qwen3ForCausalLM',
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
