import {
  EXPERT_NAMES,
  EXPERT_SLOTS,
  EXPERT_WRITERS,
  expertConfig,
  expertModules,
  routerName,
} from './expertLayer'
import { LLAMA_FORWARD, llamaShaped, QUERY_KEY_NORMS } from './llamaShape'
import { PROJECTION_NORMS } from './olmo2'

export const olmoe = llamaShaped({
  modelType: 'olmoe',
  architectureName: 'OlmoeForCausalLM',
  ...expertModules({
    qkvBias: 'attentionBias',
    outputBias: 'attentionBias',
    headNorms: PROJECTION_NORMS,
  }),
  slots: EXPERT_SLOTS,
  residualWriters: EXPERT_WRITERS,
  config: {
    defaultRmsNormEps: 1e-5,
    scales: (fields) => ({
      projectionBound: fields.has('clip_qkv') ? fields.number('clip_qkv', { min: 0 }) : null,
    }),
    experts: expertConfig({
      count: ['num_experts', 'num_local_experts'],
      defaultCount: 64,
      defaultPerToken: 8,
      size: 'intermediate_size',
      defaultSize: 2048,
      normalises: 'norm_topk_prob',
    }),
  },
  forward: {
    ...LLAMA_FORWARD,
    queryKeyNorms: { ...QUERY_KEY_NORMS, over: 'projection' },
    experts: { router: routerName(EXPERT_NAMES), sharedGate: null },
  },
})
