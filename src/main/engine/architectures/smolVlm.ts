import { idefics3 } from './idefics3'
import type { Wrapper } from './wrapped'

/** Idefics 3 in small. */
export const smolVlm: Wrapper = {
  ...idefics3,
  modelType: 'smolvlm',
  architectureName: 'SmolVLMForConditionalGeneration',
}
