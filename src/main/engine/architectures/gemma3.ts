import { gemma3Text } from './gemma3Text'
import { LLAVA_LAYOUTS, type Wrapper } from './wrapped'

/** Gemma 3 with its eyes, as all but the smallest are published. */
export const gemma3: Wrapper = {
  modelType: 'gemma3',
  architectureName: 'Gemma3ForConditionalGeneration',
  decoder: gemma3Text,
  layouts: LLAVA_LAYOUTS,
  tie: { absent: true, orDecoder: false },
}
