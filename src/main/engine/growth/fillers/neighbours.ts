import type { TensorDtype } from '@shared/jobs'
import type { Checkpoint } from '../../checkpoint/Checkpoint'
import { encodeFromFloat32 } from '../../checkpoint/dtypes'
import type { Neighbours } from '../grownLayout'

/** Bytes of float32 that are computed at a time. */
const CHUNK_BYTES = 2 ** 22

/** (1 − t)·left + t·right, some rows at a time. */
export async function* blended(
  checkpoint: Checkpoint,
  { left, right, position: t }: Neighbours,
  dtype: TensorDtype,
): AsyncGenerator<Uint8Array> {
  const rows = left.shape[0] ?? 1
  const rowSize = left.shape.slice(1).reduce((product, dim) => product * dim, 1)
  const step = Math.max(1, Math.floor(CHUNK_BYTES / (4 * Math.max(1, rowSize))))
  for (let start = 0; start < rows; start += step) {
    const range = [start, Math.min(rows, start + step)] as const
    const a = await checkpoint.readFloat32(left.name, { rows: range })
    const b = await checkpoint.readFloat32(right.name, { rows: range })
    for (let i = 0; i < a.length; i += 1) a[i] = (1 - t) * (a[i] ?? 0) + t * (b[i] ?? 0)
    yield encodeFromFloat32(a, dtype)
  }
}
