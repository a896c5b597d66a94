import { describe, expect, it } from 'vitest'
import {
  pairedDifference,
  ratioInterval,
  RESOLUTION,
  type MeasuredLosses,
} from '../../../src/shared/difference'

const TOKENS = [100, 120, 80, 100, 100, 90, 110, 100]
const losses = (perToken: (window: number) => number, tokens = TOKENS): MeasuredLosses => ({
  windowNll: tokens.map((count, window) => count * perToken(window)),
  windowTokens: tokens,
})
/** Windows differ far more from each other than the models do. */
const hard = (window: number): number => 2 + Math.sin(window * 2.1)
const base = losses(hard)
const wave = (window: number): number => 0.01 * Math.cos(window * 1.7)

describe('the paired difference', () => {
  it.each<[string, number, string]>([
    ['lower', -0.02, 'lower'],
    ['higher', 0.02, 'higher'],
    ['within chance', 0.001, 'not_distinguishable'],
  ])('%s: %d nats a token under noise of 0.01 is %s', (_, shift, outcome) => {
    const found = pairedDifference(
      losses((window) => hard(window) + shift + wave(window)),
      base,
    )
    expect(found?.outcome).toBe(outcome)
    expect(found).toMatchObject({ tokens: 800, windows: 8 })
    const { mean = NaN, low = NaN, high = NaN } = found ?? {}
    expect(low).toBeLessThan(mean)
    expect(mean).toBeLessThan(high)
    // The spread of the windows themselves, 0.7, is no part of it.
    expect(high - low).toBeLessThan(0.03)
  })

  it('weights windows by their tokens, and is the same the other way round but for its sign', () => {
    const other = losses((window) => hard(window) + (window === 1 ? 0.8 : 0))
    const found = pairedDifference(other, base)
    expect(found?.mean).toBeCloseTo((0.8 * 120) / 800, 12)
    const back = pairedDifference(base, other)
    expect(back?.mean).toBeCloseTo(-(found?.mean ?? NaN), 12)
    expect(back?.low).toBeCloseTo(-(found?.high ?? NaN), 12)
  })

  it('is the same each time, and of a model with itself nothing', () => {
    const other = losses((window) => hard(window) + wave(window))
    expect(pairedDifference(other, base)).toEqual(pairedDifference(other, base))
    expect(pairedDifference(base, base)).toMatchObject({
      mean: 0,
      low: 0,
      high: 0,
      outcome: 'not_distinguishable',
    })
  })

  it('of rounding is none, however alike all windows are', () => {
    const shifted = (shift: number) =>
      pairedDifference(
        losses((window) => hard(window) + shift),
        base,
      )
    expect(shifted(0.9 * RESOLUTION)?.outcome).toBe('not_distinguishable')
    expect(shifted(1.1 * RESOLUTION)?.outcome).toBe('higher')
  })

  it.each<[string, MeasuredLosses, MeasuredLosses]>([
    ['one window', losses(hard, [100]), losses(hard, [100])],
    ['other windows', base, losses(hard, TOKENS.toReversed())],
    ['more windows', base, losses(hard, TOKENS.slice(1))],
    ['a sum that is no number', base, losses((window) => (window === 3 ? NaN : 2))],
    ['a sum beyond numbers', base, losses((window) => (window === 3 ? Infinity : 2))],
  ])('is not known of %s', (_, a, b) => {
    expect(pairedDifference(a, b)).toBeNull()
  })
})

describe('the interval', () => {
  /** Normal numbers (Box and Muller) from a multiplicative generator. */
  const normals = (seed: number, count: number): number[] => {
    let state = seed
    const uniform = (): number => {
      state = (state * 48271) % 2147483647
      return state / 2147483647
    }
    return Array.from(
      { length: count },
      () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
    )
  }

  it.each([4, 8, 30])('of %d normal windows holds the truth about 95 times of 100', (count) => {
    const trials = 300
    let held = 0
    for (let trial = 0; trial < trials; trial += 1) {
      const { low = NaN, high = NaN } =
        ratioInterval(
          normals(1000 + 77 * trial, count),
          Array.from({ length: count }, () => 1),
        ) ?? {}
      if (low <= 0 && high >= 0) held += 1
    }
    // Two standard deviations of 300 trials are 0.025.
    expect(held / trials).toBeGreaterThan(0.91)
    expect(held / trials).toBeLessThan(0.99)
  })

  it('of many windows is that of normal theory', () => {
    const values = normals(5, 4000)
    const found = ratioInterval(
      values,
      values.map(() => 1),
    )
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const spread = Math.sqrt(
      values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length / values.length,
    )
    expect(found?.mean).toBeCloseTo(mean, 12)
    expect(((found?.high ?? NaN) - (found?.low ?? NaN)) / (2 * 1.96 * spread)).toBeCloseTo(1, 0)
    expect(((found?.high ?? NaN) - (found?.low ?? NaN)) / (2 * 1.96 * spread)).toBeGreaterThan(0.9)
  })
})
