import { llamaModules, llamaShaped, llamaSlots } from './llamaShape'

/** Arcee's AFM, whose MLP has no gate. */
export const arcee = llamaShaped({
  modelType: 'arcee',
  architectureName: 'ArceeForCausalLM',
  modules: llamaModules({
    qkvBias: 'attentionBias',
    outputBias: 'outputBias',
    mlpBias: 'mlpBias',
    isGated: false,
  }),
  slots: llamaSlots('gate_proj'),
  config: {
    defaultRmsNormEps: 1e-5,
    activation: { key: 'hidden_act', absent: 'relu2' },
  },
})
