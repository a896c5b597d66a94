import type { QueryKeyNorms } from './Architecture'
import { LLAMA_FORWARD, llamaModules, llamaShaped, norm } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

const NORMS: QueryKeyNorms = {
  queries: 'self_attn.query_layernorm',
  keys: 'self_attn.key_layernorm',
  over: 'turned_head',
}

/** Hunyuan's dense models. */
export const hunyuanV1Dense = llamaShaped({
  modelType: 'hunyuan_v1_dense',
  architectureName: 'HunYuanDenseV1ForCausalLM',
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'outputBias',
    headNorms: [norm(NORMS.queries, 'head'), norm(NORMS.keys, 'head')],
  }),
  config: {
    defaultRmsNormEps: 1e-5,
    rope: { ...LLAMA_ROPE, hasAlpha: true },
  },
  forward: { ...LLAMA_FORWARD, queryKeyNorms: NORMS },
})
