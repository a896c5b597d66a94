import { GEMMA_CONFIG, gemma2 } from './gemma2'
import { LLAMA_FORWARD, llamaModules, llamaShaped } from './llamaShape'

const NORMS = ['input_layernorm', 'pre_feedforward_layernorm'] as const
const [beforeAttention, beforeMlp] = NORMS

/** VaultGemma: Gemma 2 without the norms behind its branches. */
export const vaultGemma = llamaShaped({
  modelType: 'vaultgemma',
  architectureName: 'VaultGemmaForCausalLM',
  modules: llamaModules({ qkvBias: 'attentionBias', outputBias: 'outputBias', norms: NORMS }),
  config: {
    ...GEMMA_CONFIG,
    layerLists: gemma2.config.layerLists,
    scales: gemma2.config.scales,
  },
  forward: { ...LLAMA_FORWARD, norm: 'rms_plus_one', beforeAttention, beforeMlp },
})
