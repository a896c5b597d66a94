import { AppError } from '@shared/errors'
import type { ExpansionPlan } from '@shared/plan'
import type { FittedStart } from '../../fitting/fittedStart'
import { outputSlotOf } from '../../fitting/graphs'
import type { Filler } from '../grownTensors'

/** The output matrices that a fit left, of the blocks in the order of the plan's new layers. */
export function fittedMatrices(
  start: FittedStart,
  { newLayers }: Pick<ExpansionPlan, 'newLayers'>,
): Filler {
  return async function* ({ type, layer }) {
    const slot = outputSlotOf(type)
    const block = newLayers.indexOf(layer)
    if (slot === null || block < 0) {
      throw new AppError('bug', `${type} of layer ${layer} was not fitted.`)
    }
    yield await start.outputs(block, slot)
  }
}
