import { LLAVA_LAYOUTS, type Wrapper } from './wrapped'

export const llava: Wrapper = {
  modelType: 'llava',
  architectureName: 'LlavaForConditionalGeneration',
  decoder: { absent: 'llama' },
  layouts: LLAVA_LAYOUTS,
  tie: { absent: false, orDecoder: true },
}
