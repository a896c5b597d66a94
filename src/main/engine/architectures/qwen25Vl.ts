import { qwen2, QWEN_VL_START, qwenTypes } from './qwen2'
import { LLAMA_ROPE } from './ropeConfig'
import { QWEN_LAYOUTS, type Wrapper } from './wrapped'

/**
 * Positions have three parts (time, height, width), each of which turns some pairs of a head. In a text they are equal, and
 * the pairs turn as without parts.
 */
export const qwen25Vl: Wrapper = {
  modelType: 'qwen2_5_vl',
  architectureName: 'Qwen2_5_VLForConditionalGeneration',
  decoder: {
    ...qwen2,
    config: {
      ...qwen2.config,
      sizes: {
        vocab_size: 152_064,
        hidden_size: 8192,
        intermediate_size: 29_568,
        num_hidden_layers: 80,
        num_attention_heads: 64,
        max_position_embeddings: 32_768,
      },
      defaultKeyValueHeads: 8,
      defaultRmsNormEps: 1e-5,
      layerLists: { layer_types: qwenTypes(QWEN_VL_START) },
      rope: { ...LLAMA_ROPE, defaultTheta: 1_000_000, names: { mrope: 'default' } },
    },
  },
  layouts: QWEN_LAYOUTS,
  tie: { absent: false, orDecoder: true },
  mayBeFlat: true,
}
