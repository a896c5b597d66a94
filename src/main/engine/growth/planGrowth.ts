import type { MethodSpec } from '@shared/methods'
import { planExpansion, type ExpansionPlan } from '@shared/plan'
import { layerTypesOf } from '../architectures/layerTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'

/**
 * What a method makes of a checkpoint's layers.
 *
 * @throws AppError `bad_request` as `planExpansion`.
 */
export function planGrowth(
  method: MethodSpec,
  { config }: Pick<Checkpoint, 'config'>,
): ExpansionPlan {
  return planExpansion(method, config.numHiddenLayers, layerTypesOf(config))
}
