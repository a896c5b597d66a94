import { describe, expect, it } from 'vitest'
import {
  addRatePoint,
  appendLatest,
  rateOf,
  RATE_WINDOW_MS,
  stepsDone,
} from '../../../../src/renderer/src/views/run/series'

describe('a run’s curves', () => {
  it('go on where the recorded points end', () => {
    const known = { 'loss/q_proj': { x: [1, 2, 3], y: [9, 8, 7] } }
    const latest = { 'loss/q_proj': { x: [2, 3, 4, 5], y: [8, 7, 6, null] } }
    expect(appendLatest(known, latest)).toEqual({
      'loss/q_proj': { x: [1, 2, 3, 4, 5], y: [9, 8, 7, 6, null] },
    })
  })

  it('begin again when the run has', () => {
    const known = { 'loss/q_proj': { x: [1, 2, 3], y: [9, 8, 7] } }
    expect(appendLatest(known, { 'loss/q_proj': { x: [1], y: [5] } })).toEqual({
      'loss/q_proj': { x: [1], y: [5] },
    })
  })

  it('stay the same object when nothing is new, so that nothing is drawn again', () => {
    const known = { 'loss/q_proj': { x: [1, 2], y: [9, 8] } }
    expect(appendLatest(known, { 'loss/q_proj': { x: [1, 2], y: [9, 8] } })).toBe(known)
    expect(appendLatest(known, {})).toBe(known)
  })

  it('take in series that were not there before', () => {
    const known = { 'loss/q_proj': { x: [1], y: [9] } }
    const merged = appendLatest(known, { 'loss/k_proj': { x: [1], y: [3] } })
    expect(Object.keys(merged)).toEqual(['loss/q_proj', 'loss/k_proj'])
  })
})

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
