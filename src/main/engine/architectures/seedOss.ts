import { llamaModules, llamaShaped } from './llamaShape'

export const seedOss = llamaShaped({
  modelType: 'seed_oss',
  architectureName: 'SeedOssForCausalLM',
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'outputBias',
    mlpBias: 'mlpBias',
  }),
  config: {
    defaultKeyValueHeads: 8,
    defaultHeadDim: 128,
    biases: {
      attention: { key: 'attention_bias', absent: true },
      output: { key: 'attention_out_bias', absent: false },
      mlp: { key: 'mlp_bias', absent: false },
    },
  },
})
