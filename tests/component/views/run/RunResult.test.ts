import { heldOut } from '../../../support/heldOut'
import { mount, RouterLinkStub } from '@vue/test-utils'
import type { PredictorReport } from '@shared/jobs'
import type { RunSummary } from '@shared/projects'
import type { Method } from '@shared/methods'
import { createPinia } from 'pinia'
import { expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import RunResult from '../../../../src/renderer/src/views/run/RunResult.vue'
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
