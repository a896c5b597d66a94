import { AppError } from '@shared/errors'
import { placeInLayers } from '../../architectures/Architecture'
import type { Checkpoint } from '../../checkpoint/Checkpoint'
import type { Filler } from '../grownTensors'
import type { Transported } from '../transporting'

/** Elements that are computed at a time. */
const CHUNK = 2 ** 20

export interface TransportedFill {
  readonly transported: Transported
  /** Whether transported rows keep the mass that they have in the plan, 1 over all rows of a matrix. */
  readonly asPublished: boolean
}

/**
 * `(1 − t)·A + t·W₂` in the order of the layer after the gap, A being what was transported onto it: for a layer that is
 * alone in its gap `(n·Tᵀ W₁ + W₂)/2`, the barycentric projection of the plan T (Singh and Jaggi 2020, arXiv 1910.05653).
 * The published code never divides by the marginals, 1/n: `(Tᵀ W₁ + W₂)/2`.
 */
export function transportedFiller(
  checkpoint: Checkpoint,
  { transported, asPublished }: TransportedFill,
): Filler {
  return async function* ({ type, sides, right, elements: [first], position, part }) {
    const [rows = 1] = checkpoint.slot(type).weight.shape
    const factor = (1 - position) * (asPublished ? 1 / rows : 1)
    // A bias that the files lack there is zero.
    const isThere = placeInLayers(checkpoint.architecture, right.name)?.layer === sides[1]
    let start = first
    for await (const moved of transported.read(sides, type, part ?? 'weight', CHUNK)) {
      const own = isThere
        ? await checkpoint.readFloat32(right.name, { elements: [start, start + moved.length] })
        : new Float32Array(moved.length)
      if (own.length !== moved.length) throw new AppError('bug', `${type} has another size.`)
      for (let i = 0; i < moved.length; i += 1) own[i] = factor * moved[i]! + position * own[i]!
      start += moved.length
      yield own
    }
  }
}
