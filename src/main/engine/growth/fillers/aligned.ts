/** @file Matrices and biases of computed layers whose neighbours' neurons and heads were matched before. */
import { AppError } from '@shared/errors'
import { isPredicted, weightedMean, type Fill } from '@shared/methods/define'
import type { Alignment } from '../../alignment/Alignment'
import { placeInLayers } from '../../architectures/Architecture'
import type { Checkpoint, TensorInfo } from '../../checkpoint/Checkpoint'
import type { PredictedType } from '../../lesa/learned'
import type { FilledSlot } from '../grownLayout'
import type { Filler } from '../grownTensors'
import { predictedMatrices } from './predicted'

interface AlignedFill {
  readonly checkpoint: Checkpoint
  readonly predicted: readonly PredictedType[]
  readonly alignment: Alignment
}

/** What is computed is in the left neighbour's own order, whose place the new layer takes: both sides are read in it. */
export function alignedFiller(
  fill: Fill,
  { checkpoint, predicted, alignment }: AlignedFill,
): Filler {
  // Predictions were put into that order when they were made.
  const matrices = isPredicted(fill) ? predictedMatrices(predicted) : null
  return (matrix) =>
    matrices && !matrix.part
      ? matrices(matrix)
      : combined(checkpoint, alignment, matrix, matrix.part ? null : fill)
}

/** @param fill `null` for the weighted mean. */
async function* combined(
  checkpoint: Checkpoint,
  alignment: Alignment,
  matrix: FilledSlot,
  fill: Fill | null,
): AsyncGenerator<Float32Array> {
  const { type, left, right, elements, position, part } = matrix
  const width = part ? 1 : (checkpoint.slot(type).weight.shape[1] ?? 1)
  const [to] = matrix.sides
  const read = async (tensor: TensorInfo): Promise<Float32Array> => {
    const from = placeInLayers(checkpoint.architecture, tensor.name)?.layer ?? to
    const values = await checkpoint.readFloat32(tensor.name, { elements })
    return alignment.toOrderOf(values, width, type, { from, to })
  }
  const [a, b] = [await read(left), await read(right)]
  if (fill?.kind === 'matrices') yield fill.compute(a, b, position)
  else if (fill === null || fill.kind === 'elements') {
    const compute = fill?.compute ?? weightedMean
    for (let i = 0; i < a.length; i += 1) a[i] = compute(a[i] ?? 0, b[i] ?? 0, position)
    yield a
  } else
    throw new AppError('bug', 'Noise, predictions and transports are not made of two matrices.')
}
