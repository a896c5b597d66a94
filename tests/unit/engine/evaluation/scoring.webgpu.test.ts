import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { ForwardPass } from '../../../../src/main/engine/decoder/ForwardPass'
import { logitsOf, scoreSequences } from '../../../../src/main/engine/evaluation/scoring'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { LOGIT_CASES, logitReference } from '../../../support/logitCases'
import { tempFolder } from '../../../support/tempFolder'
import { useSoftwareVulkan } from '../../../support/webgpu'

const webgpu = useSoftwareVulkan()

describe.skipIf(!webgpu)('the forward pass on webgpu', () => {
  test.each(['llama', 'qwen3'])('%s agrees with transformers', async (name) => {
    const runtime = await Runtime.open('webgpu')
    onTestFinished(() => runtime.dispose())
    const dir = join(await tempFolder(), 'model')
    const checkpoint = await Checkpoint.open(
      await writeTinyCheckpoint({ ...LOGIT_CASES[name], dir }),
    )
    onTestFinished(() => checkpoint.close())
    const pass = new ForwardPass(checkpoint, runtime, new AbortController().signal)
    const reference = logitReference(name)
    const ids = Int32Array.from(reference.ids)
    const logits = await logitsOf(pass, ids)
    const vocab = checkpoint.config.vocabSize
    reference.positions.forEach((position, row) => {
      const here = logits.subarray(position * vocab, (position + 1) * vocab)
      const worst = here.reduce(
        (max, value, k) => Math.max(max, Math.abs(value - (reference.logits[row]?.[k] ?? NaN))),
        0,
      )
      expect(worst).toBeLessThan(2e-5)
    })
    const scoring = scoreSequences(pass, [ids])
    let next = await scoring.next()
    while (!next.done) next = await scoring.next()
    const total = reference.nll.reduce((sum, value) => sum + value, 0)
    const nll = next.value[0]?.losses.reduce((sum, value) => sum + value, 0)
    expect(nll).toBeCloseTo(total, 2)
  })
})
