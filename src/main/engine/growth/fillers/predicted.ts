import { AppError } from '@shared/errors'
import { readPredicted, type PredictedType } from '../../lesa/learned'
import type { Filler } from '../grownTensors'

/** The matrices that the learned stages left in their folders. */
export function predictedMatrices(types: readonly PredictedType[]): Filler {
  const byType = new Map(types.map((each) => [each.type, each]))
  return ({ type, layer }) => {
    const predicted = byType.get(type)
    if (predicted === undefined) throw new AppError('bug', `${type} was not predicted.`)
    return readPredicted(predicted, layer)
  }
}
