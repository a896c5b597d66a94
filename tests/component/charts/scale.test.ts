import { describe, expect, it } from 'vitest'
import {
  formatTick,
  roundLogRange,
  scaleFor,
  ticksOf,
} from '../../../src/renderer/src/charts/scale'

describe('a linear axis', () => {
  it('reaches from round number to round number', () => {
    const scale = scaleFor([0.13, 0.87], { kind: 'linear', range: [0, 100], tickCount: 5 })
    expect(scale.domain).toEqual([0, 1])
    expect(scale.ticks).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1])
    expect(scale.at(0.5)).toBeCloseTo(50, 10)
  })

  it('runs downwards for a vertical axis', () => {
    const scale = scaleFor([0, 10], { kind: 'linear', range: [200, 0] })
    expect(scale.at(0)).toBe(200)
    expect(scale.at(10)).toBe(0)
  })

  it('has room around a single value, and takes in what it has to show', () => {
    const single = scaleFor([5], { kind: 'linear', range: [0, 100] })
    expect(single.at(5)).toBeGreaterThan(0)
    expect(single.at(5)).toBeLessThan(100)
    const included = scaleFor([5, 6], { kind: 'linear', range: [0, 100], include: [0] })
    expect(included.domain[0]).toBe(0)
  })

  it('keeps the ends of the data when it is tight', () => {
    const scale = scaleFor([1, 384], { kind: 'linear', range: [0, 383], isTight: true })
    expect(scale.at(1)).toBe(0)
    expect(scale.at(384)).toBe(383)
  })
})

it('marks an axis where its texts say', () => {
  const scale = scaleFor([0, 1], { kind: 'linear', range: [100, 0], tickCount: 2 })
  expect(ticksOf(scale)).toEqual([
    { at: 100, text: '0' },
    { at: 50, text: '0.5' },
    { at: 0, text: '1' },
  ])
})

describe('a logarithmic axis', () => {
  it('gives equal lengths to equal ratios', () => {
    const scale = scaleFor([1, 100], { kind: 'log', range: [0, 200] })
    expect(scale.at(10)).toBeCloseTo(100, 10)
  })

  it('cannot show zero, negative numbers or nothing', () => {
    const scale = scaleFor([0, -1, null, 2, 30], { kind: 'log', range: [0, 100] })
    expect(scale.domain).toEqual([2, 50])
    expect(scale.at(0)).toBeNull()
    expect(scale.at(-1)).toBeNull()
    expect(scale.at(null)).toBeNull()
  })

  it('has round marks only, no more than fit: finer ones where it is short', () => {
    const ticks = (values: number[], tickCount = 5): readonly number[] =>
      scaleFor(values, { kind: 'log', range: [0, 100], tickCount }).ticks
    expect(ticks([0.55, 1.9])).toEqual([0.5, 0.7, 1, 1.5, 2])
    expect(ticks([1, 100], 7)).toEqual([1, 2, 5, 10, 20, 50, 100])
    expect(ticks([1, 100], 4)).toEqual([1, 5, 20, 100])
    expect(ticks([1e-6, 1], 7)).toEqual([1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1])
  })

  it('is there even without values', () => {
    expect(scaleFor([], { kind: 'log', range: [0, 100] }).domain).toEqual([1, 10])
  })

  it.each([
    [3.2e-4, 1.4e-3, [2e-4, 2e-3]],
    [1, 10, [1, 10]],
    [2, 2, [1, 4]],
    [7, 60, [5, 100]],
  ] as const)('holds %d to %d between round numbers', (low, high, range) => {
    expect(roundLogRange(low, high)).toEqual(range)
  })
})

it.each([
  [0, '0'],
  [0.30000000000000004, '0.3'],
  [1500, '1500'],
  [2e-5, '2e-5'],
  [3e7, '3e7'],
])('writes the tick %d as %s', (value, text) => {
  expect(formatTick(value)).toBe(text)
})
