import { METHODS } from '@shared/methods'
import type { PredictorReport } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { heldOutVerdict, ownReports, usesPredictions } from '../../../src/shared/heldOut'

const report = (mse: number | null, cosine = 0.4): PredictorReport => ({
  weightType: 'q_proj',
  rank: 1,
  samples: 1,
  steps: 1,
  lossPerEpoch: [],
  mse: 0.1,
  mseOfZero: 1,
  mseOfMean: 1,
  normRatio: 1,
  ...(mse === null
    ? {}
    : { holdout: { layer: 6, mse, mseOfZero: 1, mseOfMean: 0.8, normRatio: 1, cosine } }),
})

describe('the held-out verdict', () => {
  it.each<[string, PredictorReport[], string, RegExp]>([
    ['all beat zero', [report(0.5), report(0.9)], 'useful', /all 2 weight types.* mean on 1\.$/],
    ['all beat zero by size alone', [report(0.9, 0.01)], 'mixed', /its direction is missed/],
    ['some do', [report(0.5), report(1.2)], 'mixed', /on 1 of 2 weight types/],
    ['none does', [report(1), report(2.4)], 'useless', /any of 2 weight types.*recall/],
    ['nothing was held out', [report(null)], 'untested', /No layer was kept out/],
  ])('when %s', (_, reports, outcome, sentence) => {
    const verdict = heldOutVerdict('lesa', reports)
    expect(verdict?.outcome).toBe(outcome)
    expect(verdict?.sentence).toMatch(sentence)
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
