import { IDEFICS_LAYOUTS, type Wrapper } from './wrapped'

export const idefics3: Wrapper = {
  modelType: 'idefics3',
  architectureName: 'Idefics3ForConditionalGeneration',
  decoder: { absent: 'llama' },
  layouts: IDEFICS_LAYOUTS,
  tie: { absent: false, orDecoder: false },
}
