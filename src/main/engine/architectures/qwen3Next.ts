import {
  EXPERT_NAMES,
  EXPERT_SLOTS,
  EXPERT_WRITERS,
  expertConfig,
  expertModules,
  routerName,
  SHARED_GATE,
} from './expertLayer'
import {
  GATED_SLOTS,
  HYBRID_CONFIG,
  HYBRID_FORWARD,
  LINEAR_OUTPUT,
  LINEAR_WRITER,
  linearSizes,
  withLinearAttention,
} from './linearAttention'
import { HEAD_NORMS, linear, llamaShaped } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

const FULL_LAYERS = expertModules({
  qkvBias: 'attentionBias',
  outputBias: 'attentionBias',
  headNorms: HEAD_NORMS,
})

/** Qwen 3 Next: linear attention in three of four layers, and experts, one of which every token passes. */
export const qwen3Next = llamaShaped({
  modelType: 'qwen3_next',
  architectureName: 'Qwen3NextForCausalLM',
  modules: withLinearAttention(FULL_LAYERS.modules, [
    linear('linear_attn.in_proj_qkvz', ['linear.in_proj_qkvz']),
    linear('linear_attn.in_proj_ba', ['linear.in_proj_ba']),
  ]),
  moduleOrder: [{ name: 'linear_attn.' }, ...FULL_LAYERS.moduleOrder],
  slots: {
    ...EXPERT_SLOTS,
    ...GATED_SLOTS,
    // Each key head's queries and keys, and the values and gates of its value heads, lie together.
    'linear.in_proj_qkvz': (config) => {
      const { keys, values } = linearSizes(config)
      return [2 * keys + 2 * values, config.hiddenSize]
    },
    'linear.in_proj_ba': (config) => [2 * linearSizes(config).valueHeads, config.hiddenSize],
    ...LINEAR_OUTPUT,
  },
  residualWriters: [...EXPERT_WRITERS, LINEAR_WRITER],
  config: {
    ...HYBRID_CONFIG,
    defaultKeyValueHeads: 2,
    experts: expertConfig({
      count: ['num_experts', 'num_local_experts'],
      defaultCount: 512,
      defaultPerToken: 10,
      size: 'moe_intermediate_size',
      defaultSize: 512,
      sharedSize: { key: 'shared_expert_intermediate_size', absent: 512 },
      normalises: 'norm_topk_prob',
      hasDenseLayers: true,
    }),
    rope: { ...LLAMA_ROPE, partial: 0.25 },
  },
  forward: {
    ...HYBRID_FORWARD,
    experts: { router: routerName(EXPERT_NAMES), sharedGate: SHARED_GATE },
  },
})
