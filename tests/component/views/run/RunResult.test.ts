import { heldOut } from '../../../support/heldOut'
import { mount, RouterLinkStub } from '@vue/test-utils'
import type { PredictorReport } from '@shared/jobs'
import type { RunSummary } from '@shared/projects'
import type { Method } from '@shared/methods'
import { expertReport } from '@shared/experts'
import { createPinia } from 'pinia'
import { expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import RunResult from '../../../../src/renderer/src/views/run/RunResult.vue'
import { formatExpansion } from '../../../../src/main/cli/results'
import { FakeTransport } from '../../../support/fakeTransport'
import { expandResult, runSummary } from '../../../support/projects'

const report = (mse: number | null): PredictorReport => ({
  weightType: 'q_proj',
  rank: 1,
  samples: 1,
  steps: 1,
  lossPerEpoch: [],
  mse: 0.5,
  mseOfZero: 1,
  mseOfMean: 1,
  normRatio: 1,
  ...(mse === null ? {} : { holdout: heldOut([6], { mse, cosine: 0.3 }) }),
})

function run(method: Method, predictors: readonly PredictorReport[]): RunSummary {
  return runSummary({
    method,
    state: 'succeeded',
    result: expandResult({ method, predictors }),
    hasAnalysis: true,
  })
}

const textOf = (summary: RunSummary): string =>
  mount(RunResult, {
    props: { run: summary },
    global: {
      plugins: [createPinia()],
      provide: { [CLIENT as symbol]: new Client(new FakeTransport({})) },
      stubs: { RouterLink: RouterLinkStub },
    },
  }).text()

it.each([
  [2.8, 'The prediction fails on a layer it has not seen', 'better than zero on none of'],
  [0.5, 'The prediction holds on a layer it has not seen', 'better than zero on all of'],
  [null, 'The prediction is untested', 'No layer was kept out of training'],
])('a result leads with what a held-out error of %s says', (mse, title, sentence) => {
  const text = textOf(run('lesa', [report(mse)]))
  expect(text).toContain(sentence)
  expect(text.indexOf(title)).toBeGreaterThanOrEqual(0)
  expect(text.indexOf(title)).toBeLessThan(text.indexOf('The model grew'))
})

it('a control’s result has no verdict of predictions that it does not use', () => {
  const text = textOf(run('noise', [report(0.5)]))
  expect(text).not.toContain('prediction')
})

it('says whether experts correspond, and how each new router was scaled', () => {
  const choice = { entropy: 2, busiest: 0.25 }
  const result = expandResult({
    experts: expertReport([{ left: 0, right: 1, matched: 0.2, random: 1, shuffled: 0.5 }], 0.75),
    routing: {
      text: 'far.txt',
      tokens: 2048,
      layers: [3, 5].map((layer) => ({
        layer,
        factor: 1.25,
        before: choice,
        after: choice,
        neighbours: choice,
      })),
    },
  })
  const text = textOf(runSummary({ method: 'lesa', state: 'succeeded', result, hasAnalysis: true }))
  expect(text).toContain('Experts correspond along the layers')
  expect(text).toContain('75 % of them have another number')
  expect(text).toContain('scaled on 2048 tokens of far.txt')
  expect(text).toContain('layer 5 × 1.25')
  const said = formatExpansion(result)
  expect(said).toContain('\nExperts correspond along the layers')
  expect(said).toContain('\n  layer 5 × 1.25 (entropy')
})

it('says nothing of experts where there are none, or where a warning says it', () => {
  const text = textOf(run('lesa', [report(0.5)]))
  expect(text).not.toContain('xperts')
  const unrelated = [{ left: 0, right: 1, matched: 0.5, random: 0.5, shuffled: 0.5 }]
  const result = expandResult({ experts: expertReport(unrelated, 0.5) })
  expect(formatExpansion(result)).toBe(formatExpansion(expandResult()))
})
