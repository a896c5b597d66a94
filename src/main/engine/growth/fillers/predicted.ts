import { AppError } from '@shared/errors'
import { readPredicted, type PredictedType } from '../../lesa/learned'
import type { Filler } from '../grownTensors'

/** The matrices that the learned stages left in their folders. */
export function predictedMatrices(types: readonly PredictedType[]): Filler {
  return ({ type, layer, expert }) => {
    const predicted = types.find(({ slot, dtypes }) => slot === type && dtypes.has(layer))
    if (predicted === undefined) throw new AppError('bug', `${type} was not predicted.`)
    return readPredicted(predicted, layer, expert)
  }
}
