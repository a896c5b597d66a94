import { HEAD_NORMS, LLAMA_FORWARD, llamaModules, llamaShaped } from './llamaShape'

export const qwen3 = llamaShaped({
  modelType: 'qwen3',
  architectureName: 'Qwen3ForCausalLM',
  config: { defaultKeyValueHeads: 32, defaultHeadDim: 128, window: 'by_layer' },
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'attentionBias',
    headNorms: true,
  }),
  forward: { ...LLAMA_FORWARD, headNorms: HEAD_NORMS },
})
