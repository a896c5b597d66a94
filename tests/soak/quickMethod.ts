import type { MethodSpec } from '@shared/methods'
import { PRESET_SETTINGS } from '@shared/predictorSettings'

/** LESA with hardly any training: every stage is there, and short. */
export const quickMethod: MethodSpec = {
  name: 'lesa',
  useSvd: true,
  energy: 1,
  predictor: { ...PRESET_SETTINGS.paper, length: { unit: 'steps', value: 2 } },
}
