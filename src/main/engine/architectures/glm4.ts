import { GLM_CONFIG, GLM_MODULES } from './glm'
import { LLAMA_FORWARD, llamaShaped, norm } from './llamaShape'

/** GLM-4 of 2025, dense: as the one before, with norms after each branch as well. */
export const glm4 = llamaShaped({
  modelType: 'glm4',
  architectureName: 'Glm4ForCausalLM',
  modules: [...GLM_MODULES, norm('post_self_attn_layernorm'), norm('post_mlp_layernorm')],
  config: GLM_CONFIG,
  forward: {
    ...LLAMA_FORWARD,
    beforeMlp: 'post_attention_layernorm',
    afterAttention: 'post_self_attn_layernorm',
    afterMlp: 'post_mlp_layernorm',
    ropePairs: 'neighbours',
  },
})
