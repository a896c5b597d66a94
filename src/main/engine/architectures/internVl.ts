import { LLAVA_LAYOUTS, type Wrapper } from './wrapped'

/** InternVL 3 in the form that transformers has of it. */
export const internVl: Wrapper = {
  modelType: 'internvl',
  architectureName: 'InternVLForConditionalGeneration',
  decoder: { absent: 'qwen2' },
  layouts: LLAVA_LAYOUTS,
  tie: { absent: true, orDecoder: false },
}
