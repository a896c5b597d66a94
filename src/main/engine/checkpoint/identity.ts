import { createHash } from 'node:crypto'
import type { ModelIdentity } from '@shared/model'
import type { Checkpoint } from './Checkpoint'

/** Tensors of which a part is read, at even distances, and how much of each. */
const SAMPLED_TENSORS = 48
const SAMPLE_BYTES = 4096

/**
 * Recognises a model after it was moved, copied or cut into other shards. The weights are sampled, not read: a model
 * trained further differs in every tensor, so the samples tell.
 */
export async function identityOf(checkpoint: Checkpoint): Promise<ModelIdentity> {
  const tensors = [...checkpoint.tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const shape = createHash('sha256').update(checkpoint.config.architectureName)
  const digest = createHash('sha256').update(JSON.stringify(checkpoint.config))
  for (const { name, dtype, shape: dims } of tensors) {
    shape.update(JSON.stringify([name, dims]))
    digest.update(JSON.stringify([name, dtype, dims]))
  }
  const count = Math.min(SAMPLED_TENSORS, tensors.length)
  for (let sample = 0; sample < count; sample += 1) {
    const tensor = tensors[Math.floor((sample * tensors.length) / count)]
    if (!tensor) continue
    // From the middle: the first rows of an embedding are often unused and alike.
    const middle = Math.floor(tensor.byteLength / 2)
    const start = Math.max(0, middle - SAMPLE_BYTES / 2)
    const end = Math.min(tensor.byteLength, start + SAMPLE_BYTES)
    digest.update(await checkpoint.readBytes(tensor.name, { start, end }))
  }
  await checkpoint.assertUnchanged()
  return { digest: digest.digest('hex'), shape: shape.digest('hex') }
}
