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
  meanStandardError,
  perplexity,
  standardError,
  textLines,
} from '../../../../src/main/engine/evaluation/sequences'
import type { SequenceScore } from '../../../../src/main/engine/evaluation/scoring'
import { Random } from '../../../../src/main/engine/lib/random'

const tokens = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i)
const scored = (...losses: number[]): SequenceScore => ({ losses: Float64Array.from(losses) })
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
  const scores = [scored(Math.log(4)), scored(Math.log(2), Math.log(4), 0)]
  expect(countPredicted(scores)).toBe(4)
  expect(perplexity(scores)).toBeCloseTo(32 ** (1 / 4), 12)
  expect(meanPerplexity(scores)).toBeCloseTo(3, 12)
})

describe('how far a perplexity may be off', () => {
  /** Losses whose expectation is 1: independent, or each `repeat` times in a row. */
  const draw = (random: Random, count: number, repeat: number): SequenceScore => {
    const values = Array.from({ length: count / repeat }, () => -Math.log(1 - random.uniform()))
    return scored(...values.flatMap((value) => Array.from({ length: repeat }, () => value)))
  }

  test.each([
    ['independent tokens', 1],
    ['tokens that are easy or hard together', 8],
  ])('the 95 %% interval holds the truth about as often as it says: %s', (_, repeat) => {
    const random = new Random(5)
    const trials = 400
    const held = Array.from({ length: trials }, () => {
      const scores = [draw(random, 2048, repeat), draw(random, 2048, repeat)]
      const error = 1.96 * (standardError(scores) ?? NaN)
      return Math.abs(Math.log(perplexity(scores)) - 1) < error
    }).filter(Boolean).length
    expect(held / trials).toBeGreaterThan(0.9)
    expect(held / trials).toBeLessThan(0.985)
  })

  test('batches of unequal length are weighed by their tokens', () => {
    // √5 → batches of two: sums 3, 7 and 5 over 2, 2 and 1 tokens, whose ratio is 3.
    const squares = (3 - 6) ** 2 + (7 - 6) ** 2 + (5 - 3) ** 2
    const expected = Math.sqrt((squares * 3) / 2) / 5
    expect(standardError([scored(1, 2, 3, 4, 5)])).toBeCloseTo(expected, 12)
  })

  test('per line it is that of the mean of the lines, relative to it', () => {
    const lines = [2, 4, 6].map((value) => scored(Math.log(value)))
    expect(meanStandardError(lines)).toBeCloseTo(2 / Math.sqrt(3) / 4, 12)
  })

  test('one token, one line, or what is beyond a number has none', () => {
    expect(standardError([scored(1)])).toBeNull()
    expect(meanStandardError([scored(1, 2)])).toBeNull()
    expect(meanStandardError([scored(1000), scored(1)])).toBeNull()
  })
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
