import { llamaModules, llamaShaped } from './llamaShape'

export const qwen2 = llamaShaped({
  modelType: 'qwen2',
  architectureName: 'Qwen2ForCausalLM',
  config: { defaultKeyValueHeads: 32, window: 'by_layer' },
  modules: llamaModules({ qkvBias: 'always' }),
})
