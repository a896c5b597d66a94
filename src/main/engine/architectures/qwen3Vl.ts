import type { RawConfig } from './config'
import { qwen3 } from './qwen3'
import { LLAMA_ROPE } from './ropeConfig'
import { QWEN_LAYOUTS, type Wrapper } from './wrapped'

/** The reference's, where the config names no layers of the vision tower. */
const DEEP_FEATURES = 3

function deepFeatures(rawConfig: RawConfig): number {
  const vision = rawConfig['vision_config'] as RawConfig | null | undefined
  const indexes = vision?.['deepstack_visual_indexes']
  return Array.isArray(indexes) ? indexes.length : DEEP_FEATURES
}

/** Positions have three parts, whose pairs alternate; in a text they are equal, and the pairs turn as without parts. */
export const qwen3Vl: Wrapper = {
  modelType: 'qwen3_vl',
  architectureName: 'Qwen3VLForConditionalGeneration',
  decoder: {
    ...qwen3,
    config: {
      ...qwen3.config,
      sizes: {
        vocab_size: 151_936,
        hidden_size: 4096,
        intermediate_size: 22_016,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        max_position_embeddings: 128_000,
      },
      window: null,
      layerLists: {},
      rope: { ...LLAMA_ROPE, defaultTheta: 500_000 },
    },
  },
  layouts: QWEN_LAYOUTS,
  tie: { absent: false, orDecoder: false },
  deepFeatures,
}
