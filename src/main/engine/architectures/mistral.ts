import { llamaShaped } from './llamaShape'

export const mistral = llamaShaped({
  modelType: 'mistral',
  architectureName: 'MistralForCausalLM',
  config: { defaultKeyValueHeads: 8, window: 'by_type' },
})
