import { setImmediate } from 'node:timers/promises'
import type { ModelConfig } from '../architectures/config'
import { batchPositions, type Batch } from './batches'
import type { VocabularyMatrix } from './VocabularyMatrix'

/** Multiplies embeddings, in place, by what the model does before the first layer; returns them. */
export function scaleEmbeddings(
  values: Float32Array,
  { scales: { embeddings: scale } }: Pick<ModelConfig, 'scales'>,
): Float32Array {
  // transformers has the factor as a float32.
  const factor = Math.fround(scale)
  if (factor !== 1) for (let i = 0; i < values.length; i += 1) values[i]! *= factor
  return values
}

/**
 * Looks up the embeddings of batches, `[sequences, length, hiddenSize]` each, zero where a sequence is padded. The
 * matrix is read a part at a time, and only where a token needs it.
 */
export async function embed(
  config: Pick<ModelConfig, 'scales'>,
  matrix: VocabularyMatrix,
  batches: readonly Batch[],
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const { width } = matrix
  const hidden = batches.map((batch) => new Float32Array(batchPositions(batch) * width))
  const isNeeded = (start: number, end: number): boolean =>
    batches.some(({ sequences }) =>
      sequences.some((ids) => ids.some((id) => id >= start && id < end)),
    )
  for await (const { values, start, end } of matrix.parts(signal, isNeeded)) {
    batches.forEach(({ length, sequences }, index) => {
      sequences.forEach((ids, row) => {
        ids.forEach((id, column) => {
          if (id < start || id >= end) return
          const source = (id - start) * width
          hidden[index]?.set(
            values.subarray(source, source + width),
            (row * length + column) * width,
          )
        })
      })
    })
    await setImmediate()
  }
  return hidden.map((values) => scaleEmbeddings(values, config))
}
