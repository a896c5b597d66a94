import { llamaModules, llamaShaped } from './llamaShape'

export const llama = llamaShaped({
  modelType: 'llama',
  architectureName: 'LlamaForCausalLM',
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'attentionBias',
    mlpBias: 'mlpBias',
  }),
  config: {
    sizes: {
      vocab_size: 32_000,
      hidden_size: 4096,
      intermediate_size: 11_008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      max_position_embeddings: 2048,
    },
  },
})
