import { ALL_SLIDE } from './layerTypes'
import { llamaShaped } from './llamaShape'

/** Ministral 8B and its like, in which some layers have a window. */
export const ministral = llamaShaped({
  modelType: 'ministral',
  architectureName: 'MinistralForCausalLM',
  config: {
    defaultKeyValueHeads: 8,
    window: { layers: 'by_type', isSwitched: false, startKey: null },
    layerLists: { layer_types: ALL_SLIDE },
  },
})
