/** @file Matrices that are computed from the same ones of the base layers beside the gap. */
import { AppError } from '@shared/errors'
import type { TensorDtype } from '@shared/jobs'
import type { Fill } from '@shared/methods/define'
import type { Checkpoint } from '../../checkpoint/Checkpoint'
import { encodeFromFloat32 } from '../../checkpoint/dtypes'
import type { Neighbours } from '../grownLayout'

type ByElement = Extract<Fill, { kind: 'elements' }>['compute']

/** Bytes of float32 that are computed at a time. */
const CHUNK_BYTES = 2 ** 22

/** Some rows at a time, in the given element type. */
export async function* byElement(
  checkpoint: Checkpoint,
  { left, right, position }: Neighbours,
  compute: ByElement,
  dtype: TensorDtype,
): AsyncGenerator<Uint8Array> {
  const rows = left.shape[0] ?? 1
  const rowSize = left.shape.slice(1).reduce((product, dim) => product * dim, 1)
  const step = Math.max(1, Math.floor(CHUNK_BYTES / (4 * Math.max(1, rowSize))))
  for (let start = 0; start < rows; start += step) {
    const range = { rows: [start, Math.min(rows, start + step)] as const }
    const a = await checkpoint.readFloat32(left.name, range)
    const b = await checkpoint.readFloat32(right.name, range)
    yield encodeFromFloat32(combined(a, b, position, compute), dtype)
  }
}

/** The whole matrix, row-major, before anything that `fill` wraps around it. */
export async function wholeMatrix(
  checkpoint: Checkpoint,
  { left, right, position }: Neighbours,
  fill: Fill,
): Promise<Float32Array> {
  switch (fill.kind) {
    case 'noise':
      return wholeMatrix(checkpoint, { left, right, position }, fill.like)
    case 'predicted':
      throw new AppError('bug', 'A prediction is not computed from two matrices alone.')
    case 'elements':
    case 'matrices': {
      const a = await checkpoint.readFloat32(left.name)
      const b = await checkpoint.readFloat32(right.name)
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
