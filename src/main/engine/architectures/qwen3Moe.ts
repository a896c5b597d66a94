import {
  EXPERT_NAMES,
  EXPERT_SLOTS,
  EXPERT_WRITERS,
  expertConfig,
  expertModules,
  routerName,
} from './expertLayer'
import { HEAD_NORMS, LLAMA_FORWARD, llamaShaped, QUERY_KEY_NORMS } from './llamaShape'

export const qwen3Moe = llamaShaped({
  modelType: 'qwen3_moe',
  architectureName: 'Qwen3MoeForCausalLM',
  ...expertModules({
    qkvBias: 'attentionBias',
    outputBias: 'attentionBias',
    headNorms: HEAD_NORMS,
  }),
  slots: EXPERT_SLOTS,
  residualWriters: EXPERT_WRITERS,
  config: {
    defaultKeyValueHeads: 4,
    window: { layers: 'global', isSwitched: true, startKey: null },
    experts: expertConfig({
      count: ['num_experts', 'num_local_experts'],
      defaultCount: 128,
      defaultPerToken: 8,
      size: 'moe_intermediate_size',
      defaultSize: 768,
      normalises: 'norm_topk_prob',
      hasDenseLayers: true,
    }),
  },
  forward: {
    ...LLAMA_FORWARD,
    queryKeyNorms: QUERY_KEY_NORMS,
    experts: { router: routerName(EXPERT_NAMES), sharedGate: null },
  },
})
