import { llamaShaped } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** The text model of Ministral 3, on its own. */
export const ministral3 = llamaShaped({
  modelType: 'ministral3',
  architectureName: 'Ministral3ForCausalLM',
  config: {
    sizes: {
      vocab_size: 131_072,
      hidden_size: 4096,
      intermediate_size: 14_336,
      num_hidden_layers: 34,
      num_attention_heads: 32,
      max_position_embeddings: 262_144,
    },
    defaultKeyValueHeads: 8,
    defaultHeadDim: 128,
    defaultRmsNormEps: 1e-5,
    defaultSlidingWindow: null,
    window: { layers: 'global', isSwitched: false, startKey: null },
    rope: {
      ...LLAMA_ROPE,
      hasQueryGrowth: true,
      absent: {
        rope_type: 'yarn',
        rope_theta: 1_000_000,
        factor: 16,
        original_max_position_embeddings: 16_384,
        mscale: 1,
        mscale_all_dim: 1,
        llama_4_scaling_beta: 0.1,
      },
    },
  },
})
