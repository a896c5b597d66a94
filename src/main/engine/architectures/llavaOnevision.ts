import { LLAVA_LAYOUTS, type Wrapper } from './wrapped'

export const llavaOnevision: Wrapper = {
  modelType: 'llava_onevision',
  architectureName: 'LlavaOnevisionForConditionalGeneration',
  decoder: { absent: 'qwen2' },
  layouts: LLAVA_LAYOUTS,
  tie: { absent: false, orDecoder: true },
}
