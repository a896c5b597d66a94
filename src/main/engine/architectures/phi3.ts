import { linear, llamaShaped, norm } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** Phi-3, Phi-4 and their minis, in which one tensor holds the rows of several projections. */
export const phi3 = llamaShaped({
  modelType: 'phi3',
  architectureName: 'Phi3ForCausalLM',
  config: {
    defaultRmsNormEps: 1e-5,
    defaultSlidingWindow: null,
    window: { layers: 'global', isSwitched: false, startKey: null },
    // What later became longrope was first called by these.
    rope: {
      ...LLAMA_ROPE,
      partial: 1,
      names: { su: 'longrope', yarn: 'longrope' },
      originalMaxPositions: 4096,
    },
  },
  modules: [
    linear('self_attn.o_proj', ['o_proj']),
    linear('self_attn.qkv_proj', ['q_proj', 'k_proj', 'v_proj']),
    linear('mlp.gate_up_proj', ['gate_proj', 'up_proj']),
    linear('mlp.down_proj', ['down_proj']),
    norm('input_layernorm'),
    norm('post_attention_layernorm'),
  ],
})
