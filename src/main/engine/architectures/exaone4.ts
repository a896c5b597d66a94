import type { LayerList } from './config'
import { FULL, slidesBut } from './layerTypes'
import { HEAD_NORMS, llamaModules, llamaShaped, QUERY_KEY_NORMS } from './llamaShape'
import { OLMO_FORWARD, POST_NORMS } from './olmo2'
import { LLAMA_ROPE } from './ropeConfig'

/** A period, or one that is spelled: "LLLG". */
const types: LayerList = (fields, layer) => {
  if (fields.raw['sliding_window'] === null) return FULL
  const key = 'sliding_window_pattern'
  const spelled = fields.raw[key]
  const period = typeof spelled === 'string' ? spelled.length : fields.natural(key, { absent: 4 })
  return slidesBut(period)(fields, layer)
}

/** EXAONE 4.0: without a window every layer has positions, with one those alone that have it. */
export const exaone4 = llamaShaped({
  modelType: 'exaone4',
  architectureName: 'Exaone4ForCausalLM',
  modules: llamaModules({ headNorms: HEAD_NORMS, norms: POST_NORMS }),
  config: {
    defaultKeyValueHeads: 32,
    defaultRmsNormEps: 1e-5,
    window: { layers: 'by_type', isSwitched: false, startKey: null },
    layerLists: { layer_types: types },
    rope: { ...LLAMA_ROPE, layers: 'sliding' },
  },
  forward: { ...OLMO_FORWARD, queryKeyNorms: QUERY_KEY_NORMS },
})
