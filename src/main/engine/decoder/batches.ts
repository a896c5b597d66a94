/** @file Sequences grouped into batches that run through a layer together. */

/** Shorter sequences are padded to this. */
const SHORTEST = 16

/** Sequences of one padded length. Padding lies at the end, where causal attention keeps it from what comes before. */
export interface Batch {
  /** Tokens of every row, padding included. */
  readonly length: number
  readonly sequences: readonly Int32Array[]
  /** Where each stands in the list that was grouped. */
  readonly indices: readonly number[]
}

/**
 * Groups sequences by length, in batches of about `positions` tokens (one sequence at least). Lengths are rounded up so
 * that few different ones remain, since each needs a graph of its own; the longest length stays as it is.
 *
 * @param classOf Sequences of different classes go into different batches.
 */
export function planBatches(
  sequences: readonly Int32Array[],
  positions: number,
  classOf: (sequence: Int32Array) => number | string = () => 0,
): Batch[] {
  const longest = sequences.reduce((max, sequence) => Math.max(max, sequence.length), 0)
  const alike = new Map<string, { length: number; indices: number[] }>()
  sequences.forEach((sequence, index) => {
    const length = Math.min(longest, roundedLength(sequence.length))
    const key = `${length}/${classOf(sequence)}`
    const found = alike.get(key) ?? { length, indices: [] }
    found.indices.push(index)
    alike.set(key, found)
  })
  const batches: Batch[] = []
  for (const { length, indices } of [...alike.values()].sort((a, b) => b.length - a.length)) {
    const rows = Math.max(1, Math.floor(positions / length))
    for (let start = 0; start < indices.length; start += rows) {
      const part = indices.slice(start, start + rows)
      batches.push({
        length,
        sequences: part.flatMap((index) => sequences[index] ?? []),
        indices: part,
      })
    }
  }
  return batches
}

/** The next power of two. Every length in use holds a graph and its working memory, so there should be few. */
export function roundedLength(length: number): number {
  return Math.max(SHORTEST, 2 ** Math.ceil(Math.log2(length)))
}

/** Tokens of a batch, padding included. */
export function batchPositions(batch: Batch): number {
  return batch.length * batch.sequences.length
}

/** Splits batches into groups whose hidden states fit into `maxBytes` together (one batch at least). */
export function groupBatches(
  batches: readonly Batch[],
  hiddenSize: number,
  maxBytes: number,
): Batch[][] {
  const groups: Batch[][] = []
  let bytes = Infinity
  for (const batch of batches) {
    const size = batchPositions(batch) * hiddenSize * Float32Array.BYTES_PER_ELEMENT
    if (bytes + size > maxBytes) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(batch)
    bytes += size
  }
  return groups
}
