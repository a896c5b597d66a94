import type { MethodSpec } from '@shared/methods'
import { planExpansion, type ExpansionPlan } from '@shared/plan'
import { layerTypesOf } from '../architectures/layerTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { requireSuited } from './suited'

/**
 * What a method makes of a checkpoint's layers.
 *
 * @throws AppError `bad_request` as `planExpansion`, and as `Family.requireOrder`; `unsupported_architecture` as
 *   `requireSuited`.
 */
export function planGrowth(
  method: MethodSpec,
  checkpoint: Pick<Checkpoint, 'architecture' | 'config' | 'path'>,
): ExpansionPlan {
  const { architecture, config, path } = checkpoint
  requireSuited(method.name, checkpoint)
  const plan = planExpansion(method, config.numHiddenLayers, layerTypesOf(config))
  architecture.requireOrder?.(config, plan.layers, path)
  return plan
}
