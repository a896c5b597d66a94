import { gemma4Text } from './gemma4Text'
import { CURRENT, type Wrapper } from './wrapped'

/** Gemma 4 as it is published, with eyes, some with ears. */
export const gemma4: Wrapper = {
  modelType: 'gemma4',
  architectureName: 'Gemma4ForConditionalGeneration',
  decoder: gemma4Text,
  layouts: CURRENT,
  tie: { absent: true, orDecoder: false },
}
