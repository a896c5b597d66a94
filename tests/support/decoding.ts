import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { CachedDecoder, type DecoderOptions } from '../../src/main/engine/generation/CachedDecoder'
import type { Runtime } from '../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from './checkpoints'
import { tempFolder } from './tempFolder'

/** A decoder of a tiny checkpoint, for as long as the test runs. */
export async function tinyDecoder(
  runtime: Runtime,
  model: Omit<TinyCheckpointOptions, 'dir'>,
  options: Partial<DecoderOptions> & { readonly signal?: AbortSignal } = {},
): Promise<CachedDecoder> {
  const { signal = new AbortController().signal, isResident = true, ...rest } = options
  const dir = join(await tempFolder(), 'model')
  const checkpoint = await Checkpoint.open(await writeTinyCheckpoint({ ...model, dir }))
  onTestFinished(() => checkpoint.close())
  const decoder = new CachedDecoder(checkpoint, runtime, signal, { isResident, ...rest })
  onTestFinished(() => decoder.dispose())
  return decoder
}

/** What a generator returns, without what it yields. */
export async function resultOf<T>(steps: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const next = await steps.next()
    if (next.done) return next.value
  }
}

/** All logits of hidden states, `[rows, vocabSize]`. */
export async function logitsOf(
  decoder: CachedDecoder,
  hidden: Float32Array,
): Promise<Float32Array> {
  const { vocabSize, hiddenSize } = decoder.checkpoint.config
  const rows = hidden.length / hiddenSize
  const all = new Float32Array(rows * vocabSize)
  for await (const { logits, start, end } of decoder.logits(hidden)) {
    const width = end - start
    for (let row = 0; row < rows; row += 1) {
      all.set(logits.subarray(row * width, (row + 1) * width), row * vocabSize + start)
    }
  }
  return all
}

/** The largest difference between numbers at the same place; infinite where there are not as many. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity
  return Array.from(a).reduce((max, value, index) => {
    const difference = Math.abs(value - (b[index] ?? NaN))
    return Number.isNaN(difference) ? Infinity : Math.max(max, difference)
  }, 0)
}
