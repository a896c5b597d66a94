import { slidesBut } from './layerTypes'
import { llamaShaped } from './llamaShape'
import { OLMO_FORWARD, OLMO_MODULES } from './olmo2'
import { LLAMA_ROPE } from './ropeConfig'

const THETA = 500_000

/** As OLMo 2, with a window in all but every fourth layer; positions are stretched in the others alone. */
export const olmo3 = llamaShaped({
  modelType: 'olmo3',
  architectureName: 'Olmo3ForCausalLM',
  modules: OLMO_MODULES,
  config: {
    defaultRmsNormEps: 1e-5,
    window: { layers: 'by_type', isSwitched: false, startKey: null },
    layerLists: { layer_types: slidesBut(4) },
    rope: {
      ...LLAMA_ROPE,
      defaultTheta: THETA,
      layers: 'by_type',
      // The reference gives `rope_theta` to the other layers only.
      localTheta: { key: null, absent: THETA },
    },
  },
  forward: OLMO_FORWARD,
})
