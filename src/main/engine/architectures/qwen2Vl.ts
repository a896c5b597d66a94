import { qwen25Vl } from './qwen25Vl'
import type { Wrapper } from './wrapped'

/** Its eyes differ from the next version's, its decoder does not. */
export const qwen2Vl: Wrapper = {
  ...qwen25Vl,
  modelType: 'qwen2_vl',
  architectureName: 'Qwen2VLForConditionalGeneration',
}
