import { LLAMA_FORWARD, llamaModules, llamaShaped } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** Helium, in which neighbouring elements of a head turn together. */
export const helium = llamaShaped({
  modelType: 'helium',
  architectureName: 'HeliumForCausalLM',
  modules: llamaModules({ qkvBias: 'attentionBias', mlpBias: 'mlpBias' }),
  config: {
    defaultKeyValueHeads: 20,
    defaultHeadDim: 128,
    defaultRmsNormEps: 1e-8,
    rope: { ...LLAMA_ROPE, defaultTheta: 100_000 },
  },
  forward: { ...LLAMA_FORWARD, ropePairs: 'neighbours' },
})
