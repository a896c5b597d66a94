import {
  GATED_SLOTS,
  HYBRID_CONFIG,
  HYBRID_FORWARD,
  LINEAR_OUTPUT,
  LINEAR_WRITER,
  linearSizes,
  withLinearAttention,
} from './linearAttention'
import { HEAD_NORMS, linear, llamaModules, llamaShaped } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

const FULL_LAYER = llamaModules({
  qkvBias: 'attentionBias',
  outputBias: 'attentionBias',
  headNorms: HEAD_NORMS,
})

/** Qwen 3.5's and 3.6's text model on its own. */
export const qwen35Text = llamaShaped({
  modelType: 'qwen3_5_text',
  architectureName: 'Qwen3_5ForCausalLM',
  modules: withLinearAttention(
    () => FULL_LAYER,
    ['in_proj_qkv', 'in_proj_z', 'in_proj_b', 'in_proj_a'].map((name) =>
      linear(`linear_attn.${name}`, [`linear.${name}`]),
    ),
  ),
  moduleOrder: [{ name: 'linear_attn.' }, ...FULL_LAYER],
  slots: {
    ...GATED_SLOTS,
    'linear.in_proj_qkv': (config) => {
      const { keys, values } = linearSizes(config)
      return [2 * keys + values, config.hiddenSize]
    },
    'linear.in_proj_z': (config) => [linearSizes(config).values, config.hiddenSize],
    'linear.in_proj_b': (config) => [linearSizes(config).valueHeads, config.hiddenSize],
    'linear.in_proj_a': (config) => [linearSizes(config).valueHeads, config.hiddenSize],
    ...LINEAR_OUTPUT,
  },
  residualWriters: ['o_proj', 'down_proj', LINEAR_WRITER],
  config: {
    ...HYBRID_CONFIG,
    sizes: {
      vocab_size: 248_320,
      hidden_size: 4096,
      intermediate_size: 12_288,
      num_hidden_layers: 32,
      num_attention_heads: 16,
      max_position_embeddings: 32_768,
    },
    defaultKeyValueHeads: 4,
    rope: { ...LLAMA_ROPE, partial: 0.25 },
  },
  forward: HYBRID_FORWARD,
})
