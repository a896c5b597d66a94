import { describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { scoreAgainst } from '../../../../src/main/engine/evaluation/against'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { DEMO_MODEL } from '../../../support/oracle'
import { otherTheta, pairReference, windowsOf } from '../../../support/verdictPair'
import { useSoftwareVulkan } from '../../../support/webgpu'

const webgpu = useSoftwareVulkan()

describe.skipIf(!webgpu)('two models side by side on webgpu', () => {
  test('agree with PyTorch, the vocabulary in parts', async () => {
    const runtime = await Runtime.open('webgpu')
    onTestFinished(() => runtime.dispose())
    const checkpoints = [
      await Checkpoint.open(DEMO_MODEL),
      await Checkpoint.open(await otherTheta()),
    ] as const
    onTestFinished(async () => {
      for (const each of checkpoints) await each.close()
    })
    const { base_nll, model_nll, kl, agreed, length } = pairReference
    const windows = windowsOf(pairReference).slice(0, 3)
    const limits = { matrixElements: 2 * 128 * 200 }
    const { signal } = new AbortController()
    const run = scoreAgainst(checkpoints, windows, { runtime, signal, limits })
    let next = await run.next()
    while (!next.done) next = await run.next()
    const [base, model] = next.value
    windows.forEach((_, window) => {
      const perToken = (sum: number | undefined, expected: number | undefined): void => {
        expect(Math.abs((sum ?? NaN) - (expected ?? NaN)) / (length - 1)).toBeLessThan(1e-4)
      }
      const nll = (losses: Float64Array | undefined): number | undefined =>
        losses?.reduce((sum, loss) => sum + loss, 0)
      perToken(nll(base?.scores[window]?.losses), base_nll[window])
      perToken(nll(model?.scores[window]?.losses), model_nll[window])
      perToken(model?.kl[window], kl[window])
      expect(model?.agreed[window]).toBe(agreed[window])
    })
  })
})
