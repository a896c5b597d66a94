import type { Family, ForwardRules } from './Architecture'
import type { Fields, ModelScales } from './config'
import { slidesBut } from './layerTypes'
import { LLAMA_FORWARD, llamaModules, llamaShaped } from './llamaShape'

/** Norms before and after each branch. */
export const GEMMA_NORMS = [
  'input_layernorm',
  'post_attention_layernorm',
  'pre_feedforward_layernorm',
  'post_feedforward_layernorm',
] as const

const [beforeAttention, afterAttention, beforeMlp, afterMlp] = GEMMA_NORMS

export const GEMMA_FORWARD: ForwardRules = {
  ...LLAMA_FORWARD,
  norm: 'rms_plus_one',
  beforeAttention,
  afterAttention,
  beforeMlp,
  afterMlp,
}

/** Embeddings times √(hidden size), scores over the square root of what the config says. */
export function gemmaScales(fields: Fields, hiddenSize: number): Partial<ModelScales> {
  return {
    embeddings: Math.sqrt(hiddenSize),
    queries: fields.number('query_pre_attn_scalar', { absent: 256, min: 0 }) ** -0.5,
  }
}

export const GEMMA_CONFIG = {
  defaultKeyValueHeads: 4,
  defaultHeadDim: 256,
  activation: { key: 'hidden_activation', absent: 'gelu_pytorch_tanh' },
  tiedByDefault: true,
  window: { layers: 'by_type', isSwitched: false, startKey: null },
} satisfies Partial<Family['config']>

/** A bound; where the config is silent, `absent`, and none for null. */
export function softCap(fields: Fields, key: string, absent: number | null): number | null {
  if (fields.raw[key] === undefined) return absent
  return fields.raw[key] === null ? null : fields.number(key, { min: 0 })
}

export const gemma2 = llamaShaped({
  modelType: 'gemma2',
  architectureName: 'Gemma2ForCausalLM',
  fixedPeriod: 2,
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'outputBias',
    norms: GEMMA_NORMS,
  }),
  config: {
    sizes: {
      vocab_size: 256_000,
      hidden_size: 2304,
      intermediate_size: 9216,
      num_hidden_layers: 26,
      num_attention_heads: 8,
      max_position_embeddings: 8192,
    },
    ...GEMMA_CONFIG,
    layerLists: { layer_types: slidesBut(2) },
    scales: (fields, hiddenSize) => ({
      ...gemmaScales(fields, hiddenSize),
      attentionCap: softCap(fields, 'attn_logit_softcapping', 50),
      logitCap: softCap(fields, 'final_logit_softcapping', 30),
    }),
  },
  forward: GEMMA_FORWARD,
})
