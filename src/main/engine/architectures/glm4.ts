import { LLAMA_FORWARD, linear, llamaShaped, norm } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** GLM-4 of 2025, dense: norms before and after each branch, gate and up in one tensor, half of a head turned. */
export const glm4 = llamaShaped({
  modelType: 'glm4',
  architectureName: 'Glm4ForCausalLM',
  modules: [
    linear('self_attn.q_proj', ['q_proj'], 'attentionBias'),
    linear('self_attn.k_proj', ['k_proj'], 'attentionBias'),
    linear('self_attn.v_proj', ['v_proj'], 'attentionBias'),
    linear('self_attn.o_proj', ['o_proj']),
    linear('mlp.gate_up_proj', ['gate_proj', 'up_proj']),
    linear('mlp.down_proj', ['down_proj']),
    norm('input_layernorm'),
    norm('post_attention_layernorm'),
    norm('post_self_attn_layernorm'),
    norm('post_mlp_layernorm'),
  ],
  config: {
    defaultKeyValueHeads: 2,
    defaultHeadDim: 128,
    defaultRmsNormEps: 1.5625e-7,
    biases: {
      attention: { key: 'attention_bias', absent: true },
      output: { key: 'attention_bias', absent: true },
      mlp: { key: 'mlp_bias', absent: false },
    },
    rope: { ...LLAMA_ROPE, partial: 0.5 },
  },
  forward: {
    ...LLAMA_FORWARD,
    beforeMlp: 'post_attention_layernorm',
    afterAttention: 'post_self_attn_layernorm',
    afterMlp: 'post_mlp_layernorm',
    ropePairs: 'neighbours',
  },
})
