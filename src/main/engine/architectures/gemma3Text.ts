import { GEMMA_CONFIG, GEMMA_FORWARD, GEMMA_NORMS, gemmaScales, softCap } from './gemma2'
import { slidesBut } from './layerTypes'
import { HEAD_NORMS, llamaModules, llamaShaped, QUERY_KEY_NORMS } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** Gemma 3's text model on its own, as the smallest is published. */
export const gemma3Text = llamaShaped({
  modelType: 'gemma3_text',
  architectureName: 'Gemma3ForCausalLM',
  fixedPeriod: 6,
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'outputBias',
    headNorms: HEAD_NORMS,
    norms: GEMMA_NORMS,
  }),
  config: {
    sizes: {
      vocab_size: 262_208,
      hidden_size: 2304,
      intermediate_size: 9216,
      num_hidden_layers: 26,
      num_attention_heads: 8,
      max_position_embeddings: 131_072,
    },
    ...GEMMA_CONFIG,
    layerLists: {
      layer_types: (fields, layer) =>
        slidesBut(fields.natural('sliding_window_pattern', { absent: 6 }))(fields, layer),
    },
    // The reference has a bound of scores in the config, and does not apply it.
    scales: (fields, hiddenSize) => ({
      ...gemmaScales(fields, hiddenSize),
      logitCap: softCap(fields, 'final_logit_softcapping', null),
    }),
    rope: {
      ...LLAMA_ROPE,
      defaultTheta: 1_000_000,
      layers: 'by_type',
      localTheta: { key: 'rope_local_base_freq', absent: 10_000 },
    },
  },
  forward: { ...GEMMA_FORWARD, queryKeyNorms: QUERY_KEY_NORMS },
})
