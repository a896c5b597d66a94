import {
  EXPERT_SLOTS,
  EXPERT_WRITERS,
  expertConfig,
  expertModules,
  routerName,
} from './expertLayer'
import { LLAMA_FORWARD, llamaShaped } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

const NAMES = {
  module: 'block_sparse_moe',
  projections: { gate_proj: 'w1', up_proj: 'w3', down_proj: 'w2' },
}

export const mixtral = llamaShaped({
  modelType: 'mixtral',
  architectureName: 'MixtralForCausalLM',
  ...expertModules({}, NAMES),
  slots: EXPERT_SLOTS,
  residualWriters: EXPERT_WRITERS,
  config: {
    defaultKeyValueHeads: 8,
    defaultRmsNormEps: 1e-5,
    defaultSlidingWindow: null,
    window: { layers: 'global', isSwitched: false, startKey: null },
    rope: { ...LLAMA_ROPE, defaultTheta: 1_000_000 },
    experts: expertConfig({
      count: ['num_local_experts', 'num_experts'],
      defaultCount: 8,
      defaultPerToken: 2,
      size: 'intermediate_size',
      defaultSize: 14_336,
      normalises: null,
    }),
  },
  forward: { ...LLAMA_FORWARD, experts: { router: routerName(NAMES), sharedGate: null } },
})
