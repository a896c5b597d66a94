import { LLAVA_LAYOUTS, type Wrapper } from './wrapped'

/** Mistral Small 3.1 and Ministral 3. */
export const mistral3: Wrapper = {
  modelType: 'mistral3',
  architectureName: 'Mistral3ForConditionalGeneration',
  decoder: { absent: 'mistral' },
  layouts: LLAVA_LAYOUTS,
  tie: { absent: true, orDecoder: false },
}
