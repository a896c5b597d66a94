import type { LayerList } from './config'
import {
  EXPERT_NAMES,
  EXPERT_SLOTS,
  EXPERT_WRITERS,
  expertConfig,
  expertModules,
  routerName,
  SHARED_GATE,
} from './expertLayer'
import { FULL, SLIDING } from './layerTypes'
import { LLAMA_FORWARD, llamaShaped } from './llamaShape'

/** Every other layer before `max_window_layers` has the window, if it is switched on. */
const TYPES: LayerList = (fields, layer) => {
  const end = fields.natural('max_window_layers', { absent: 28, min: 0 })
  const isSliding = layer % 2 === 0 && layer < end && fields.flag('use_sliding_window')
  return isSliding ? SLIDING : FULL
}

/** Qwen 1.5 and 2 with experts, one of which every token passes. */
export const qwen2Moe = llamaShaped({
  modelType: 'qwen2_moe',
  architectureName: 'Qwen2MoeForCausalLM',
  ...expertModules({ qkvBias: 'attentionBias' }),
  slots: EXPERT_SLOTS,
  residualWriters: EXPERT_WRITERS,
  config: {
    defaultKeyValueHeads: 16,
    window: { layers: 'by_type', isSwitched: true, startKey: null },
    layerLists: { layer_types: TYPES },
    biases: {
      attention: { key: 'qkv_bias', absent: true },
      output: { key: 'attention_bias', absent: false },
      mlp: { key: 'mlp_bias', absent: false },
    },
    experts: expertConfig({
      count: ['num_experts', 'num_local_experts'],
      defaultCount: 60,
      defaultPerToken: 4,
      size: 'moe_intermediate_size',
      defaultSize: 1408,
      sharedSize: { key: 'shared_expert_intermediate_size', absent: 5632 },
      normalises: 'norm_topk_prob',
      hasDenseLayers: true,
    }),
  },
  forward: {
    ...LLAMA_FORWARD,
    experts: { router: routerName(EXPERT_NAMES), sharedGate: SHARED_GATE },
  },
})
