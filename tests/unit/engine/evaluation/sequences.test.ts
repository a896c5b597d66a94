import { describe, expect, test } from 'vitest'
import {
  batchPositions,
  groupBatches,
  planBatches,
} from '../../../../src/main/engine/decoder/batches'
import {
  countPredicted,
  cutLines,
  cutWindows,
  meanPerplexity,
  perplexity,
  textLines,
} from '../../../../src/main/engine/evaluation/sequences'

const tokens = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i)
const lists = (windows: readonly Int32Array[]): number[][] => windows.map((each) => [...each])

describe('cutWindows', () => {
  test('cuts whole windows and drops the rest', () => {
    expect(lists(cutWindows(tokens(7), 3))).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ])
    expect(lists(cutWindows(tokens(6), 3))).toHaveLength(2)
  })

  test('a text shorter than a window is one', () => {
    expect(lists(cutWindows(tokens(5), 8))).toEqual([[0, 1, 2, 3, 4]])
  })

  test('a text without a token to predict is an error', () => {
    for (const count of [0, 1]) {
      expect(() => cutWindows(tokens(count), 4)).toThrow(
        expect.objectContaining({ code: 'bad_request' }),
      )
    }
  })
})

describe('lines', () => {
  test('are split at either line end, blank ones left out', () => {
    expect(textLines('one\r\n\n  \ntwo \n')).toEqual(['one', 'two '])
  })

  test('longer than the context are cut, shorter than two tokens left out', () => {
    expect(lists(cutLines([tokens(1), tokens(5), tokens(2)], 3))).toEqual([
      [0, 1, 2],
      [0, 1],
    ])
    expect(() => cutLines([tokens(1)], 3)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  })
})

test('the two means differ: over positions, and over sequences', () => {
  const scores = [
    { nll: Math.log(4), predicted: 1 },
    { nll: 3 * Math.log(2), predicted: 3 },
  ]
  expect(countPredicted(scores)).toBe(4)
  expect(perplexity(scores)).toBeCloseTo(32 ** (1 / 4), 12)
  expect(meanPerplexity(scores)).toBeCloseTo(3, 12)
})

describe('planBatches', () => {
  test('keeps every sequence once, padded by less than its own length', () => {
    const lengths = [2, 17, 300, 31, 16, 32, 33, 299, 5]
    const sequences = lengths.map(tokens)
    const batches = planBatches(sequences, 64)
    expect(batches.flatMap(({ indices }) => indices).sort((a, b) => a - b)).toEqual([
      ...lengths.keys(),
    ])
    for (const batch of batches) {
      batch.indices.forEach((index, row) => expect(batch.sequences[row]).toBe(sequences[index]))
      for (const { length } of batch.sequences) {
        expect(batch.length).toBeGreaterThanOrEqual(length)
        expect(batch.length).toBeLessThan(Math.max(17, 2 * length))
      }
      expect(batch.sequences.length === 1 || batchPositions(batch) <= 64).toBe(true)
    }
  })

  test('windows of equal length are not padded', () => {
    const batches = planBatches([tokens(192), tokens(192), tokens(192)], 400)
    expect(batches.map(({ length, indices }) => [length, indices])).toEqual([
      [192, [0, 1]],
      [192, [2]],
    ])
  })
})

test('groupBatches keeps to the bytes, one batch at least', () => {
  const batches = planBatches([32, 32, 32, 32, 32].map(tokens), 32)
  const bytes = 32 * 8 * 4
  expect(groupBatches(batches, 8, 2 * bytes).map((group) => group.length)).toEqual([2, 2, 1])
  expect(groupBatches(batches, 8, 1).map((group) => group.length)).toEqual([1, 1, 1, 1, 1])
  expect(groupBatches(batches, 8, 1e9).map((group) => group.length)).toEqual([5])
})
