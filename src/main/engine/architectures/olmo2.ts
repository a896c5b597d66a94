import type { ForwardRules, NormModule } from './Architecture'
import { LLAMA_FORWARD, llamaModules, llamaShaped, norm, QUERY_KEY_NORMS } from './llamaShape'

/** Norms over what each branch gives, and none before it. */
export const POST_NORMS = ['post_attention_layernorm', 'post_feedforward_layernorm'] as const

const [afterAttention, afterMlp] = POST_NORMS

export const OLMO_FORWARD: ForwardRules = {
  ...LLAMA_FORWARD,
  beforeAttention: null,
  beforeMlp: null,
  afterAttention,
  afterMlp,
  queryKeyNorms: { ...QUERY_KEY_NORMS, over: 'projection' },
}

/** Over all heads together. */
export const PROJECTION_NORMS: readonly NormModule[] = [
  norm(QUERY_KEY_NORMS.queries, 'q_proj'),
  norm(QUERY_KEY_NORMS.keys, 'k_proj'),
]

export const OLMO_MODULES = llamaModules({
  qkvBias: 'attentionBias',
  outputBias: 'outputBias',
  headNorms: PROJECTION_NORMS,
  norms: POST_NORMS,
})

export const olmo2 = llamaShaped({
  modelType: 'olmo2',
  architectureName: 'Olmo2ForCausalLM',
  modules: OLMO_MODULES,
  config: { defaultRmsNormEps: 1e-5 },
  forward: OLMO_FORWARD,
})
