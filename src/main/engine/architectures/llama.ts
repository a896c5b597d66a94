import { llamaModules, llamaShaped } from './llamaShape'

export const llama = llamaShaped({
  modelType: 'llama',
  architectureName: 'LlamaForCausalLM',
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'attentionBias',
    mlpBias: 'mlpBias',
  }),
})
