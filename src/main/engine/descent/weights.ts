/**
 * @file The weights of a trained model beside those that it began from, a few megabytes at a time: whether they are the
 * same, and how far apart they are.
 */
import { TENSOR_DTYPES, type TensorDtype, type WeightChange } from '@shared/jobs'
import { elementsOf, partsOf, placeInLayers } from '../architectures/Architecture'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import {
  bytesPerElement,
  decodeToFloat32,
  encodeFromFloat32,
  isTensorDtype,
} from '../checkpoint/dtypes'

/** Elements that are compared at a time. */
const CHUNK_ELEMENTS = 2 ** 20

/** A tensor of both models; their names differ where one has its embeddings for a head, or was saved by another program. */
export interface Pair {
  readonly start: string
  readonly trained: string
}

export interface Models {
  readonly start: Checkpoint
  readonly trained: Checkpoint
}

/** How a tensor compares: the same bytes, the same once it is converted, or other values. */
export type Sameness = 'identical' | 'converted' | 'changed'

/** Bytes that comparing a tensor reads of the trained model. */
export function bytesOf({ trained }: Models, pair: Pair): number {
  return trained.tensors.get(pair.trained)?.byteLength ?? 0
}

/** Whether a tensor is as it was; the first difference ends the search. @throws the signal's reason. */
export async function* samenessOf(
  models: Models,
  pair: Pair,
  signal: AbortSignal,
): AsyncGenerator<number, Sameness> {
  const [start, trained] = [stored(models.start, pair.start), stored(models.trained, pair.trained)]
  const isOneType = start.dtype === trained.dtype
  for await (const [from, to] of chunksOf(models, pair, signal)) {
    const isSame = isOneType
      ? Buffer.compare(from, to) === 0
      : isEqual(asStored(from, start, trained), floats(to, trained))
    if (!isSame) return 'changed'
    yield to.byteLength
  }
  return isOneType ? 'identical' : 'converted'
}

/**
 * The narrower element type that a tensor was rounded to before it was stored in a wide one; `null` where that does not
 * explain all its values.
 */
export async function roundingOf(
  models: Models,
  pair: Pair,
  signal: AbortSignal,
): Promise<TensorDtype | null> {
  const [start, trained] = [stored(models.start, pair.start), stored(models.trained, pair.trained)]
  if (trained.dtype !== 'F32') return null
  let candidates = TENSOR_DTYPES.filter((dtype) => dtype !== 'F32' && dtype !== start.dtype)
  for await (const [from, to] of chunksOf(models, pair, signal)) {
    const [before, after] = [floats(from, start), floats(to, trained)]
    candidates = candidates.filter((dtype) => isEqual(rounded(before, dtype), after))
    if (candidates.length === 0) return null
  }
  return candidates[0] ?? null
}

/** How far a tensor's parts have moved, and in how many of its elements the trained model is not finite. */
export interface Measured {
  readonly parts: readonly { readonly part: string; readonly sum: ChangeSum }[]
  readonly nonFinite: number
}

/** Reads a tensor whole, each weight type of a fused one for itself. @throws the signal's reason. */
export async function* measure(
  models: Models,
  pair: Pair,
  signal: AbortSignal,
): AsyncGenerator<number, Measured> {
  const [start, trained] = [stored(models.start, pair.start), stored(models.trained, pair.trained)]
  const spans = spansOf(models.trained, pair.trained, elementsIn(models, pair))
  let at = 0
  for await (const [from, to] of chunksOf(models, pair, signal)) {
    const [before, after] = [asStored(from, start, trained), floats(to, trained)]
    for (const { first, end, sum } of spans) {
      const [low, high] = [Math.max(0, first - at), Math.min(after.length, end - at)]
      if (low < high) sum.add(before.subarray(low, high), after.subarray(low, high))
    }
    at += after.length
    yield to.byteLength
  }
  return {
    parts: spans.map(({ part, sum }) => ({ part, sum })),
    nonFinite: spans.reduce((count, { sum }) => count + sum.nonFinite, 0),
  }
}

/** Gathers how far apart two sequences of weights are; sums are float64. */
export class ChangeSum {
  #change = 0
  #norm = 0
  #max = 0
  /** Elements that are not finite in either: they are left out. */
  nonFinite = 0

  add(before: Float32Array, after: Float32Array): void {
    let [change, norm, max] = [0, 0, 0]
    for (let i = 0; i < after.length; i += 1) {
      const was = before[i]!
      const by = after[i]! - was
      // NaN or an infinity in either gives none of the three.
      if (by - by !== 0) {
        this.nonFinite += 1
        continue
      }
      norm += was * was
      change += by * by
      const size = Math.abs(by)
      if (size > max) max = size
    }
    this.#change += change
    this.#norm += norm
    if (max > this.#max) this.#max = max
  }

  merge(other: ChangeSum): void {
    this.#change += other.#change
    this.#norm += other.#norm
    this.#max = Math.max(this.#max, other.#max)
    this.nonFinite += other.nonFinite
  }

  result(): WeightChange {
    const [change, norm] = [Math.sqrt(this.#change), Math.sqrt(this.#norm)]
    return { change, norm, relative: norm > 0 ? change / norm : null, max: this.#max }
  }
}

/** A tensor as its checkpoint has it; a bias that the files leave out is zero. */
interface Stored {
  readonly dtype: TensorDtype
  readonly isZero: boolean
}

function stored({ tensors }: Checkpoint, name: string): Stored {
  const dtype = tensors.get(name)?.dtype
  return dtype !== undefined && isTensorDtype(dtype)
    ? { dtype, isZero: false }
    : { dtype: 'F32', isZero: true }
}

function elementsIn({ start, trained }: Models, pair: Pair): number {
  const shape = (trained.tensors.get(pair.trained) ?? start.tensors.get(pair.start))?.shape
  return shape ? elementsOf(shape) : 0
}

/** The bytes of both, as many elements at a time; arrays are used again. */
async function* chunksOf(
  models: Models,
  pair: Pair,
  signal: AbortSignal,
): AsyncGenerator<readonly [start: Uint8Array, trained: Uint8Array]> {
  const elements = elementsIn(models, pair)
  const reader = (checkpoint: Checkpoint, name: string) => {
    const { dtype, isZero } = stored(checkpoint, name)
    const size = bytesPerElement(dtype)
    const buffer = new Uint8Array(Math.min(CHUNK_ELEMENTS, elements) * size)
    return async (first: number, end: number): Promise<Uint8Array> => {
      if (isZero) return buffer.subarray(0, (end - first) * size)
      return checkpoint.readBytes(name, { start: first * size, end: end * size }, buffer)
    }
  }
  const start = reader(models.start, pair.start)
  const trained = reader(models.trained, pair.trained)
  for (let first = 0; first < elements; first += CHUNK_ELEMENTS) {
    signal.throwIfAborted()
    const end = Math.min(elements, first + CHUNK_ELEMENTS)
    yield await Promise.all([start(first, end), trained(first, end)])
  }
}

/** The start's values in the trained model's element type. */
function asStored(bytes: Uint8Array, from: Stored, to: Stored): Float32Array {
  const values = floats(bytes, from)
  return from.dtype === to.dtype || to.dtype === 'F32' ? values : rounded(values, to.dtype)
}

function floats(bytes: Uint8Array, { dtype }: Stored): Float32Array {
  return decodeToFloat32(bytes, dtype)
}

function rounded(values: Float32Array, dtype: TensorDtype): Float32Array {
  return decodeToFloat32(encodeFromFloat32(values, dtype), dtype)
}

/** By value: zeros of either sign are one, and so are all that is no number. */
function isEqual(a: Float32Array, b: Float32Array): boolean {
  for (let i = 0; i < b.length; i += 1) {
    if (a[i] !== b[i] && !(Number.isNaN(a[i]) && Number.isNaN(b[i]))) return false
  }
  return true
}

/** What is measured of a tensor by itself: each weight type that lies in it, or all of it under its own name. */
function spansOf(
  checkpoint: Checkpoint,
  name: string,
  elements: number,
): {
  readonly part: string
  readonly first: number
  readonly end: number
  readonly sum: ChangeSum
}[] {
  const place = placeInLayers(checkpoint.architecture, name)
  const suffix = place?.suffix ?? name
  const found = place ? partsOf(checkpoint.slotsOf(place.layer), 'weight', suffix) : []
  const spans =
    found.length > 0
      ? found.map(({ id, span: { offset, shape } }) => ({
          part: id,
          first: offset,
          end: offset + elementsOf(shape),
        }))
      : [{ part: suffix.replace(/\.weight$/, ''), first: 0, end: elements }]
  return spans.map((span) => ({ ...span, sum: new ChangeSum() }))
}
