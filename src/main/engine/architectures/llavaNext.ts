import { LLAVA_LAYOUTS, type Wrapper } from './wrapped'

/** LLaVA 1.6, and Granite's models that see. */
export const llavaNext: Wrapper = {
  modelType: 'llava_next',
  architectureName: 'LlavaNextForConditionalGeneration',
  decoder: { absent: 'llama' },
  layouts: LLAVA_LAYOUTS,
  tie: { absent: false, orDecoder: false },
}
