import { createReadStream } from 'node:fs'
import { AppError } from '@shared/errors'
import { predictedFile, type PredictedType } from '../../lesa/learned'
import { CHUNK_BYTES, type Filler } from '../grownTensors'

/** The matrices that the learned stages left in their folders, in the output's element type already. */
export function predictedMatrices(types: readonly PredictedType[]): Filler {
  const folders = new Map(types.map(({ type, folder }) => [type, folder]))
  return ({ type, layer }) => {
    const folder = folders.get(type)
    if (folder === undefined) throw new AppError('bug', `${type} was not predicted.`)
    return createReadStream(predictedFile(folder, layer), { highWaterMark: CHUNK_BYTES })
  }
}
