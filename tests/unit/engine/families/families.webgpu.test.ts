import { describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { ForwardPass } from '../../../../src/main/engine/decoder/ForwardPass'
import { scoreSequences } from '../../../../src/main/engine/evaluation/scoring'
import { CachedDecoder } from '../../../../src/main/engine/generation/CachedDecoder'
import { generate } from '../../../../src/main/engine/generation/generate'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { resultOf } from '../../../support/decoding'
import { familyModel, familyReference } from '../../../support/familyCases'
import { useSoftwareVulkan } from '../../../support/webgpu'

const webgpu = useSoftwareVulkan()

/**
 * Whether a token's experts are found where the provider lacks operators, and some experts see no token at all; and what a
 * convolution keeps stays on the device.
 */
describe.skipIf(!webgpu)('a model with experts, or with convolutions, on webgpu', () => {
  test.each(['qwen2_moe', 'qwen3_moe', 'lfm2'])('%s agrees with transformers', async (name) => {
    const runtime = await Runtime.open('webgpu')
    onTestFinished(() => runtime.dispose())
    const checkpoint = await Checkpoint.open(familyModel(name))
    onTestFinished(() => checkpoint.close())
    const { signal } = new AbortController()
    const { ids, nll, prompt, tokens } = familyReference(name)
    const pass = new ForwardPass(checkpoint, runtime, signal)
    onTestFinished(() => pass.dispose())
    const [score] = await resultOf(scoreSequences(pass, [Int32Array.from(ids)]))
    nll.forEach((loss, place) => {
      expect(Math.abs((score?.losses[place] ?? NaN) - loss)).toBeLessThan(1e-3)
    })
    const decoder = new CachedDecoder(checkpoint, runtime, signal, { isResident: true })
    onTestFinished(() => decoder.dispose())
    const start = Int32Array.from(ids.slice(0, prompt))
    const options = { tokens: 3, temperature: 0, seed: 0, ends: [] }
    const written = await resultOf(generate(decoder, start, options))
    expect(written.map(({ id }) => id)).toEqual(tokens.slice(0, 3))
  })
})
