import { heldOut } from '../../support/heldOut'
import { METHODS } from '@shared/methods'
import type { PredictorReport } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import {
  beatsNoise,
  heldOutVerdict,
  mseOfNoise,
  ownReports,
  usesPredictions,
} from '../../../src/shared/heldOut'
import { Random } from '../../../src/main/engine/lib/random'

const report = (mse: number | null, cosine = 0.4, layers = [6]): PredictorReport => ({
  weightType: 'q_proj',
  rank: 1,
  samples: 1,
  steps: 1,
  lossPerEpoch: [],
  mse: 0.1,
  mseOfZero: 1,
  mseOfMean: 1,
  normRatio: 1,
  ...(mse === null ? {} : { holdout: heldOut(layers, { mse, mseOfMean: 0.8, cosine }) }),
})

describe('the held-out verdict', () => {
  it.each<[string, PredictorReport[], string, RegExp]>([
    [
      'all beat zero',
      [report(0.5), report(0.9)],
      'useful',
      /zero on all of 2 weight types, than the neighbours’ mean on 1, than noise of its own size on all\.$/,
    ],
    [
      'all beat zero by size alone',
      [report(0.9, 0.01)],
      'mixed',
      /zero on all of 1 weight type, than the neighbours’ mean on none, than noise of its own size on none; .* direction is missed\.$/,
    ],
    [
      'one misses its direction',
      [report(0.5), report(0.9, 0.04)],
      'mixed',
      /noise of its own size on 1; where it is no better than noise/,
    ],
    ['some do', [report(0.5), report(1.2)], 'mixed', /zero on 1 of 2 weight types, .*; elsewhere/],
    [
      'none does',
      [report(1), report(2.4, -0.2)],
      'useless',
      /zero on none of 2 weight types.*recall/,
    ],
    ['nothing was held out', [report(null)], 'untested', /No layer was kept out/],
  ])('when %s', (_, reports, outcome, sentence) => {
    const verdict = heldOutVerdict('lesa', reports)
    expect(verdict?.outcome).toBe(outcome)
    expect(verdict?.sentence).toMatch(sentence)
  })

  it('names the layers, one or several', () => {
    const of = (layers: number[]) => heldOutVerdict('lesa', [report(0.5, 0.4, layers)])?.sentence
    expect(of([6])).toMatch(/^Layer 6, which was kept out of training, is predicted better /)
    expect(of([3, 6, 9])).toMatch(
      /^Layers 3, 6 and 9, which were kept out of training, are predicted better /,
    )
  })

  it('is of predictions only: a control that trains predictors has none', () => {
    const reports = [report(0.5)]
    expect(METHODS.filter(usesPredictions)).toEqual(['lesa'])
    for (const method of METHODS.filter((one) => !usesPredictions(one))) {
      expect(heldOutVerdict(method, reports)).toBeNull()
      expect(ownReports(method, reports)).toEqual([])
    }
    expect(heldOutVerdict('lesa', [])).toBeNull()
  })
})

describe('noise of the prediction’s size', () => {
  const source = new Random(7)
  const random = (): number => source.normal()
  const normals = (count: number, scale: number): Float64Array =>
    Float64Array.from({ length: count }, () => scale * random())
  const norm = (x: Float64Array): number => Math.hypot(...x)
  const mse = (x: Float64Array, y: Float64Array): number =>
    x.reduce((sum, value, index) => sum + (value - (y[index] ?? NaN)) ** 2, 0) / x.length

  it.each([0.3, 1, 2.5])(
    'has the error that drawing it gives, at a ratio of norms of %d',
    (ratio) => {
      const count = 2000
      const target = normals(count, 0.7)
      const mseOfZero = mse(target, new Float64Array(count))
      let drawn = 0
      const draws = 50
      for (let draw = 0; draw < draws; draw += 1) {
        const noise = normals(count, 1)
        const scale = (ratio * norm(target)) / norm(noise)
        drawn +=
          mse(
            target,
            noise.map((value) => value * scale),
          ) / draws
      }
      expect(drawn / mseOfNoise({ mseOfZero, normRatio: ratio })).toBeCloseTo(1, 1)
      expect(Math.abs(drawn / mseOfNoise({ mseOfZero, normRatio: ratio }) - 1)).toBeLessThan(0.02)
    },
  )

  it('is beaten where the prediction points the target’s way, and only there', () => {
    const count = 500
    const target = normals(count, 1)
    for (const share of [-0.8, -0.2, 0.2, 0.8]) {
      const off = normals(count, 1)
      const prediction = target.map((value, index) => share * value + 0.3 * (off[index] ?? NaN))
      const cosine =
        target.reduce((sum, value, index) => sum + value * (prediction[index] ?? NaN), 0) /
        (norm(target) * norm(prediction))
      const held = {
        mse: mse(target, prediction),
        mseOfZero: mse(target, new Float64Array(count)),
        normRatio: norm(prediction) / norm(target),
        cosine,
      }
      expect(held.mse < mseOfNoise(held)).toBe(cosine > 0)
      expect(beatsNoise(held)).toBe(share > 0)
    }
  })
})
