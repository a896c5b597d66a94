import type { Family, Module } from './Architecture'
import { LLAMA_FORWARD, linear, llamaShaped, norm } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** As the reference declares them: gate and up in one tensor. */
export const GLM_MODULES: readonly Module[] = [
  linear('self_attn.q_proj', ['q_proj'], 'attentionBias'),
  linear('self_attn.k_proj', ['k_proj'], 'attentionBias'),
  linear('self_attn.v_proj', ['v_proj'], 'attentionBias'),
  linear('self_attn.o_proj', ['o_proj']),
  linear('mlp.gate_up_proj', ['gate_proj', 'up_proj']),
  linear('mlp.down_proj', ['down_proj']),
  norm('input_layernorm'),
  norm('post_attention_layernorm'),
]

export const GLM_CONFIG = {
  defaultKeyValueHeads: 2,
  defaultHeadDim: 128,
  defaultRmsNormEps: 1.5625e-7,
  biases: {
    attention: { key: 'attention_bias', absent: true },
    output: { key: 'attention_bias', absent: true },
    mlp: { key: 'mlp_bias', absent: false },
  },
  rope: { ...LLAMA_ROPE, partial: 0.5 },
} satisfies Partial<Family['config']>

/** GLM-4 of 2024 and GLM-Edge: half of a head turned, in neighbouring elements. */
export const glm = llamaShaped({
  modelType: 'glm',
  architectureName: 'GlmForCausalLM',
  modules: GLM_MODULES,
  config: GLM_CONFIG,
  forward: { ...LLAMA_FORWARD, ropePairs: 'neighbours' },
})
