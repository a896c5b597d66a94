import { LLAMA_FORWARD, llamaModules, llamaShaped } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

/** One flag for every bias. */
const USE_BIAS = { key: 'use_bias', absent: false } as const

/** ERNIE 4.5, dense, in which neighbouring elements of a head turn together. */
export const ernie45 = llamaShaped({
  modelType: 'ernie4_5',
  architectureName: 'Ernie4_5ForCausalLM',
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'outputBias',
    mlpBias: 'mlpBias',
  }),
  config: {
    defaultKeyValueHeads: 2,
    defaultHeadDim: 128,
    defaultRmsNormEps: 1e-5,
    tiedByDefault: true,
    biases: { attention: USE_BIAS, output: USE_BIAS, mlp: USE_BIAS },
    rope: { ...LLAMA_ROPE, defaultTheta: 500_000 },
  },
  forward: { ...LLAMA_FORWARD, ropePairs: 'neighbours' },
})
