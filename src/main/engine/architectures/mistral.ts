import { ALL_SLIDE } from './layerTypes'
import { llamaShaped } from './llamaShape'

export const mistral = llamaShaped({
  modelType: 'mistral',
  architectureName: 'MistralForCausalLM',
  config: {
    sizes: {
      vocab_size: 32_000,
      hidden_size: 4096,
      intermediate_size: 14_336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      max_position_embeddings: 131_072,
    },
    defaultKeyValueHeads: 8,
    window: { layers: 'by_type', isSwitched: false, startKey: null },
    layerLists: { layer_types: ALL_SLIDE },
  },
})
