import { describe, expect, it } from 'vitest'
import {
  differClearly,
  perplexityCaution,
  perplexityInterval,
} from '../../../src/shared/perplexity'

const measured = (
  perplexity: number | null,
  standardError: number | null = 0.01,
  tokens = 20_000,
): Parameters<typeof perplexityInterval>[0] => ({ perplexity, standardError, tokens })

describe('a measured perplexity', () => {
  it('has an interval of 1.96 standard errors of its logarithm to either side', () => {
    const [low, high] = perplexityInterval(measured(2, 0.1)) ?? []
    expect(low).toBeCloseTo(2 * Math.exp(-0.196), 12)
    expect(high).toBeCloseTo(2 * Math.exp(0.196), 12)
    expect(perplexityInterval(measured(2, null))).toBeNull()
    expect(perplexityInterval(measured(null))).toBeNull()
  })

  it('differs from another only beyond what chance does', () => {
    // 1.96 · √2 · 0.01 = 0.0277 in the logarithm.
    expect(differClearly(measured(2), measured(2 * Math.exp(0.0278)))).toBe(true)
    expect(differClearly(measured(2), measured(2 * Math.exp(0.0276)))).toBe(false)
    expect(differClearly(measured(2), measured(9, null))).toBe(false)
    expect(differClearly(measured(2), measured(null))).toBe(false)
  })

  it.each<[ReturnType<typeof measured>, number | null, string | null]>([
    [measured(1.5), 512, null],
    [measured(512), 512, 'chance'],
    [measured(2623, 1, 4), 512, 'chance'],
    [measured(null), 512, 'chance'],
    [measured(100, 1, 999), 512, 'few_tokens'],
    [measured(100, 1, 1000), 512, null],
    [measured(1e6), null, null],
  ])('%o of %s tokens is not to be taken as one: %s', (one, vocabulary, caution) => {
    expect(perplexityCaution(one, vocabulary)).toBe(caution)
  })
})
