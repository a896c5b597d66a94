import { FULL, SLIDING } from './layerTypes'
import { llamaModules, llamaShaped } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** Meta's Code World Model: Llama with a window in all but every fourth layer, the first of which has none. */
export const cwm = llamaShaped({
  modelType: 'cwm',
  architectureName: 'CwmForCausalLM',
  modules: llamaModules({ mlpBias: 'mlpBias' }),
  config: {
    defaultKeyValueHeads: 8,
    defaultHeadDim: 128,
    defaultRmsNormEps: 1e-5,
    defaultSlidingWindow: 8192,
    window: { layers: 'by_type', isSwitched: false, startKey: null },
    layerLists: { layer_types: (_, layer) => (layer % 4 === 0 ? FULL : SLIDING) },
    rope: {
      ...LLAMA_ROPE,
      defaultTheta: 1_000_000,
      absent: {
        rope_type: 'llama3',
        rope_theta: 1_000_000,
        factor: 16,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
    },
  },
})
