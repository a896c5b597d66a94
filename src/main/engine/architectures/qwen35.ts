import { qwen35Text } from './qwen35Text'
import { QWEN_LAYOUTS, type Wrapper } from './wrapped'

/** Qwen 3.5 and 3.6 as they are published, with eyes. */
export const qwen35: Wrapper = {
  modelType: 'qwen3_5',
  architectureName: 'Qwen3_5ForConditionalGeneration',
  decoder: qwen35Text,
  layouts: QWEN_LAYOUTS,
  tie: { absent: false, orDecoder: false },
}
