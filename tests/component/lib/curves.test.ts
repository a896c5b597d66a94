import { describe, expect, it } from 'vitest'
import {
  addRatePoint,
  rateOf,
  RATE_WINDOW_MS,
  stepsDone,
} from '../../../src/renderer/src/lib/curves'

describe('throughput', () => {
  it('counts the steps of all predictors, and of nothing else', () => {
    expect(
      stepsDone({
        'loss/q_proj': { x: [50, 100], y: [1, 1] },
        'loss/k_proj': { x: [20], y: [1] },
        'epoch_loss/q_proj': { x: [1, 2], y: [1, 1] },
      }),
    ).toBe(120)
  })

  it('is taken over the last seconds', () => {
    let points = addRatePoint([], { at: 0, count: 0 })
    points = addRatePoint(points, { at: 1_000, count: 100 })
    expect(rateOf(points)).toBe(100)
    points = addRatePoint(points, { at: 1_000 + RATE_WINDOW_MS, count: 900 })
    expect(points[0]?.at).toBe(1_000)
    expect(rateOf(points)).toBe(100)
  })

  it('is not known from one point, within a moment, or over a new start', () => {
    expect(rateOf([])).toBeNull()
    expect(rateOf([{ at: 0, count: 5 }])).toBeNull()
    expect(
      rateOf([
        { at: 0, count: 0 },
        { at: 100, count: 50 },
      ]),
    ).toBeNull()
    expect(
      rateOf([
        { at: 0, count: 500 },
        { at: 2_000, count: 10 },
      ]),
    ).toBeNull()
  })
})
