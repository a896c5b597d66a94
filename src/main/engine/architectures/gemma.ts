import { LLAMA_FORWARD, llamaModules, llamaShaped } from './llamaShape'

/** The first Gemma: Llama's layers, with norms by 1 + weight and embeddings times √(hidden size). */
export const gemma = llamaShaped({
  modelType: 'gemma',
  architectureName: 'GemmaForCausalLM',
  modules: llamaModules({ qkvBias: 'attentionBias', outputBias: 'outputBias' }),
  config: {
    defaultKeyValueHeads: 16,
    defaultHeadDim: 256,
    // Published configs say `gelu` and mean its approximation; the reference does not read their `hidden_activation`.
    activation: {
      key: 'hidden_act',
      absent: 'gelu_pytorch_tanh',
      names: { gelu: 'gelu_pytorch_tanh' },
    },
    tiedByDefault: true,
    scales: (_, hiddenSize) => ({ embeddings: Math.sqrt(hiddenSize) }),
  },
  forward: { ...LLAMA_FORWARD, norm: 'rms_plus_one' },
})
