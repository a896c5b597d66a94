/** @file Matrices that are computed from the same ones of the base layers beside the gap. */
import { AppError } from '@shared/errors'
import type { Fill } from '@shared/methods/define'
import type { Checkpoint } from '../../checkpoint/Checkpoint'
import type { Neighbours } from '../grownLayout'

type ByElement = Extract<Fill, { kind: 'elements' }>['compute']

/** Elements that are computed at a time. */
const CHUNK = 2 ** 20

/** Some elements at a time. */
export async function* byElement(
  checkpoint: Checkpoint,
  { left, right, elements: [first, last], position }: Neighbours,
  compute: ByElement,
): AsyncGenerator<Float32Array> {
  for (let start = first; start < last; start += CHUNK) {
    const elements = [start, Math.min(last, start + CHUNK)] as const
    const a = await checkpoint.readFloat32(left.name, { elements })
    const b = await checkpoint.readFloat32(right.name, { elements })
    yield combined(a, b, position, compute)
  }
}

/** The whole matrix, row-major, before anything that `fill` wraps around it. */
export async function wholeMatrix(
  checkpoint: Checkpoint,
  neighbours: Neighbours,
  fill: Fill,
): Promise<Float32Array> {
  switch (fill.kind) {
    case 'noise':
      return wholeMatrix(checkpoint, neighbours, fill.like)
    case 'predicted':
    case 'transported':
      throw new AppError('bug', 'A prediction or transport needs more than two matrices.')
    case 'elements':
    case 'matrices': {
      const { left, right, elements, position } = neighbours
      const a = await checkpoint.readFloat32(left.name, { elements })
      const b = await checkpoint.readFloat32(right.name, { elements })
      return fill.kind === 'elements'
        ? combined(a, b, position, fill.compute)
        : fill.compute(a, b, position)
    }
  }
}

/** Into `left`. */
function combined(
  left: Float32Array,
  right: Float32Array,
  position: number,
  compute: ByElement,
): Float32Array {
  for (let i = 0; i < left.length; i += 1) left[i] = compute(left[i] ?? 0, right[i] ?? 0, position)
  return left
}
