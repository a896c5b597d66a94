/** @file What the stages of a learned method leave on the disk until the model is written, or for later runs. */
import type { OutputDtype } from '@shared/jobs'
import type { ExpansionPlan } from '@shared/plan'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { bytesPerElement, isTensorDtype, newDtype } from '../checkpoint/dtypes'
import { planMemory, storeBytes } from './memory'
import { computedIn, seriesNamed } from './series'
import { StackedMatrix } from './StackedMatrix'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

export interface StageBytes {
  /** All new layers' matrices. */
  readonly matrices: number
  /** Coordinates and bases: all of them where they are kept, else the largest that does not fit in memory. */
  readonly decompositions: number
}

/**
 * @param options.types The weight types to be computed.
 * @param options.keeps Whether the folder of the stages outlives the job.
 * @param options.also Further checkpoints that predictors learn from.
 * @param options.bound Bytes of memory that the job may use.
 */
export function stageBytes(
  checkpoint: Checkpoint,
  options: {
    readonly types: readonly string[]
    readonly plan: ExpansionPlan
    readonly dtype: OutputDtype
    readonly keeps: boolean
    readonly bound: number | undefined
    readonly also?: readonly Checkpoint[] | undefined
  },
): StageBytes {
  const { types, plan, keeps, bound, also } = options
  let [matrices, decompositions] = [0, 0]
  for (const type of types) {
    const series = seriesNamed(checkpoint, plan, type)
    const source = new StackedMatrix(checkpoint, series, { also })
    const { rows, width, ownChains } = source
    const dtype = newDtype(new StackedMatrix(checkpoint, series).dtypes(), options.dtype)
    const count = computedIn(series, plan).length * ownChains
    matrices += count * rows * width * (isTensorDtype(dtype) ? bytesPerElement(dtype) : FLOAT)
    const own = storeBytes(source) + rows * rows * FLOAT
    if (keeps) decompositions += own
    else if (planMemory(source, bound).coordinates === 'file')
      decompositions = Math.max(decompositions, own)
  }
  return { matrices, decompositions }
}
