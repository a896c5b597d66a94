import { llamaModules, llamaShaped } from './llamaShape'

/** Granite 3, whose config scales embeddings, scores, branches and logits. */
export const granite = llamaShaped({
  modelType: 'granite',
  architectureName: 'GraniteForCausalLM',
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'outputBias',
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
    scales: (fields) => {
      const factor = (key: string): number => fields.number(key, { absent: 1, min: 0 })
      return {
        embeddings: factor('embedding_multiplier'),
        residual: factor('residual_multiplier'),
        queries: factor('attention_multiplier'),
        logits: 1 / factor('logits_scaling'),
      }
    },
  },
})
