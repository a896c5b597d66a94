import { ALL_SLIDE } from './layerTypes'
import { llamaShaped } from './llamaShape'

export const mistral = llamaShaped({
  modelType: 'mistral',
  architectureName: 'MistralForCausalLM',
  config: {
    defaultKeyValueHeads: 8,
    window: { layers: 'by_type', isSwitched: false, startKey: null },
    layerLists: { layer_types: ALL_SLIDE },
  },
})
