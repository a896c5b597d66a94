import { describe, expect, it } from 'vitest'
import { smooth } from '../../../src/renderer/src/charts/ema'

describe('smoothing', () => {
  it('is the debiased moving average that TensorBoard draws', () => {
    // By hand: 0.4·1 / 0.4; (0.6·0.4 + 0.4·2) / 0.64; (0.6·1.04 + 0.4·3) / 0.784.
    const [first, second, third] = smooth([1, 2, 3], 0.6)
    expect(first).toBeCloseTo(1, 12)
    expect(second).toBeCloseTo(1.04 / 0.64, 12)
    expect(third).toBeCloseTo(1.824 / 0.784, 12)
  })

  it('leaves a constant as it is, from the first point on', () => {
    for (const value of smooth([0.25, 0.25, 0.25, 0.25], 0.99)) expect(value).toBeCloseTo(0.25, 12)
  })

  it('changes nothing at weight 0', () => {
    expect(smooth([3, null, 1], 0)).toEqual([3, null, 1])
  })

  it('leaves out what is no number without forgetting what came before', () => {
    const with_ = smooth([1, null, NaN, 3], 0.5)
    expect(with_[1]).toBeNull()
    expect(with_[2]).toBeNull()
    expect(with_[3]).toBe(smooth([1, 3], 0.5)[1])
  })
})
