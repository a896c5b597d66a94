/** @file What the tensors of a grown model hold. */
import { AppError } from '@shared/errors'
import { TENSOR_DTYPES, type TensorDtype } from '@shared/jobs'
import { weightedMean } from '@shared/methods/define'
import { elementsOf } from '../architectures/Architecture'
import type { Checkpoint, TensorInfo } from '../checkpoint/Checkpoint'
import type { OutputTensor } from '../checkpoint/CheckpointWriter'
import { decodeToFloat32, isTensorDtype } from '../checkpoint/dtypes'
import { RangeCount, type RangeLoss } from '../checkpoint/range'
import { byElement } from './fillers/neighbours'
import {
  isCopy,
  type ByLayer,
  type Change,
  type FilledSlot,
  type GrownLayout,
  type LaidOutTensor,
} from './grownLayout'

/** Bytes converted or compared at a time; a multiple of every element size. */
export const CHUNK_BYTES = 2 ** 22

/** A new layer's matrix, row-major, in chunks of any size. */
export type Filler = (matrix: FilledSlot) => AsyncIterable<Float32Array>

/**
 * The laid-out tensors with what is to be written of each; nothing is read before its turn comes.
 *
 * @param filler For layouts with computed layers.
 */
export function contentsOf(
  checkpoint: Checkpoint,
  layout: GrownLayout,
  filler?: Filler,
): OutputTensor[] {
  return layout.tensors.map((tensor) => {
    const { name, dtype, shape, byteLength } = tensor
    return { name, dtype, shape, byteLength, content: contentOf(checkpoint, tensor, filler) }
  })
}

function contentOf(
  checkpoint: Checkpoint,
  tensor: LaidOutTensor,
  filler: Filler | undefined,
): OutputTensor['content'] {
  const { source, change } = tensor
  if (source.kind === 'constant' && source.value === 0) return 'zeros'
  if (source.kind === 'base' && isCopy(tensor)) return { copy: source.tensor }
  if (source.kind === 'filled' && !filler) {
    throw new AppError('bug', `Nothing gives the matrix "${tensor.name}".`)
  }
  const values = (): AsyncIterable<Float32Array> => laidOutValues(checkpoint, tensor, filler)
  return change === undefined ? values : () => changed(values(), change)
}

/** What a laid-out tensor holds before it is changed, some values at a time. */
function laidOutValues(
  checkpoint: Checkpoint,
  { source, shape }: Pick<LaidOutTensor, 'source' | 'shape'>,
  filler: Filler | undefined,
): AsyncIterable<Float32Array> {
  switch (source.kind) {
    case 'constant':
      return repeated(source.value, elementsOf(shape))
    case 'base':
      return valuesOf(checkpoint, source.tensor)
    case 'by_layer':
      return partsByLayer(checkpoint, source)
    case 'mean':
      return byElement(checkpoint, source, weightedMean)
    case 'filled':
      if (!filler) throw new AppError('bug', 'Nothing gives a computed matrix.')
      return filled(source.slots, filler)
  }
}

/** A tensor's parts in the order of the grown layers, some rows at a time. */
async function* partsByLayer(
  checkpoint: Checkpoint,
  { tensor, along, layers, count }: ByLayer,
): AsyncGenerator<Float32Array> {
  const { name, shape } = tensor
  const [rows = 0, width = 0] = shape
  const atOnce = Math.max(1, Math.floor(CHUNK_BYTES / Float32Array.BYTES_PER_ELEMENT / width))
  if (along === 0) {
    const own = rows / count
    for (const { source } of layers) {
      for (let row = 0; row < own; row += atOnce) {
        const start = source * own + row
        const end = source * own + Math.min(own, row + atOnce)
        yield await checkpoint.readFloat32(name, { rows: [start, end] })
      }
    }
    return
  }
  const own = width / count
  for (let start = 0; start < rows; start += atOnce) {
    const end = Math.min(rows, start + atOnce)
    const read = await checkpoint.readFloat32(name, { rows: [start, end] })
    const made = new Float32Array((end - start) * own * layers.length)
    for (let row = 0; row < end - start; row += 1) {
      layers.forEach(({ source }, layer) => {
        const from = row * width + source * own
        made.set(read.subarray(from, from + own), (row * layers.length + layer) * own)
      })
    }
    yield made
  }
}

async function* changed(
  chunks: AsyncIterable<Float32Array>,
  { factor, shift }: Change,
): AsyncGenerator<Float32Array> {
  for await (const chunk of chunks) yield chunk.map((value) => value * factor + shift)
}

async function* repeated(value: number, count: number): AsyncGenerator<Float32Array> {
  const most = CHUNK_BYTES / Float32Array.BYTES_PER_ELEMENT
  for (let left = count; left > 0; left -= most) {
    yield await Promise.resolve(new Float32Array(Math.min(left, most)).fill(value))
  }
}

/**
 * Values of some of a layer's tensors as they would be written, before they are rounded to the output's element type.
 *
 * @param layout Of a model that need not be written.
 * @param into Buffers by names within the layer, which are used again.
 */
export async function readLaidOut(
  checkpoint: Checkpoint,
  tensors: readonly { readonly suffix: string; readonly tensor: LaidOutTensor }[],
  filler: Filler | undefined,
  into: Map<string, Float32Array>,
): Promise<void> {
  for (const { suffix, tensor } of tensors) {
    const size = elementsOf(tensor.shape)
    const values = into.get(suffix) ?? new Float32Array(size)
    into.set(suffix, values)
    const chunks = laidOutValues(checkpoint, tensor, filler)
    const { change } = tensor
    let at = 0
    for await (const chunk of change === undefined ? chunks : changed(chunks, change)) {
      values.set(chunk, at)
      at += chunk.length
    }
  }
}

/** The slots' matrices one after another: the rows of a fused tensor. */
async function* filled(slots: readonly FilledSlot[], filler: Filler): AsyncGenerator<Float32Array> {
  for (const slot of slots) yield* filler(slot)
}

/** A tensor's values, some at a time. */
async function* valuesOf(checkpoint: Checkpoint, tensor: TensorInfo): AsyncGenerator<Float32Array> {
  const stored = floatOf(tensor)
  for await (const chunk of checkpoint.streamBytes(tensor.name, CHUNK_BYTES)) {
    yield decodeToFloat32(chunk, stored)
  }
}

/** Tensors of the base model that go into a type of less range; F16 has the least of all. */
export function narrowedTensors({
  tensors,
}: GrownLayout): readonly { readonly tensor: TensorInfo; readonly dtype: 'F16' }[] {
  const found = new Map<string, TensorInfo>()
  for (const { source, dtype } of tensors) {
    const isTaken = source.kind === 'base' || source.kind === 'by_layer'
    if (isTaken && dtype === 'F16' && isTensorDtype(source.tensor.dtype)) {
      if (source.tensor.dtype !== dtype) found.set(source.tensor.name, source.tensor)
    }
  }
  return [...found.values()].map((tensor) => ({ tensor, dtype: 'F16' }))
}

/** What of the base model's own weights the chosen element type cannot hold, one tensor after another. */
export async function* rangeLosses(
  checkpoint: Checkpoint,
  layout: GrownLayout,
): AsyncGenerator<{ readonly done: number; readonly total: number }, readonly RangeLoss[]> {
  const narrowed = narrowedTensors(layout)
  const total = narrowed.reduce((sum, { tensor }) => sum + tensor.byteLength, 0)
  const losses: RangeLoss[] = []
  let done = 0
  for (const { tensor, dtype } of narrowed) {
    const count = new RangeCount(tensor.name, dtype)
    for await (const values of valuesOf(checkpoint, tensor)) count.add(values)
    if (count.loss) losses.push(count.loss)
    done += tensor.byteLength
    yield { done, total }
  }
  return losses
}

/** The element type of a tensor whose values are read. @throws AppError `unsupported_dtype` when it is not a float. */
function floatOf({ name, dtype }: { readonly name: string; readonly dtype: string }): TensorDtype {
  if (isTensorDtype(dtype)) return dtype
  throw new AppError('unsupported_dtype', `The tensor "${name}" cannot be computed.`, {
    context: { tensor: name, expected: TENSOR_DTYPES.join(', '), actual: dtype },
  })
}

/**
 * Whether a checkpoint with tied embeddings stores the head a second time. A copy is dropped; a head that differs is
 * kept and the tie undone, which is how current loaders read such a file.
 */
export async function tiedHead(
  checkpoint: Checkpoint,
): Promise<'none' | 'repeats_embeddings' | 'differs'> {
  const { embedTokens, lmHead } = checkpoint.architecture
  const embeddings = checkpoint.tensors.get(embedTokens)
  const head = checkpoint.tensors.get(lmHead)
  if (!checkpoint.config.tieWordEmbeddings || !embeddings || !head) return 'none'
  if (embeddings.dtype !== head.dtype || embeddings.byteLength !== head.byteLength) return 'differs'
  for (let start = 0; start < head.byteLength; start += CHUNK_BYTES) {
    const range = { start, end: Math.min(head.byteLength, start + CHUNK_BYTES) }
    const [a, b] = await Promise.all([
      checkpoint.readBytes(embedTokens, range),
      checkpoint.readBytes(lmHead, range),
    ])
    if (Buffer.compare(a, b) !== 0) return 'differs'
  }
  return 'repeats_embeddings'
}
