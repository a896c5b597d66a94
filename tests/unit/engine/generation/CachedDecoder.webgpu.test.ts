import { describe, expect, onTestFinished, test } from 'vitest'
import { generate } from '../../../../src/main/engine/generation/generate'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { largestDifference, logitsOf, resultOf, tinyDecoder } from '../../../support/decoding'
import { GENERATION_CASES, generationReference } from '../../../support/generationCases'
import { useSoftwareVulkan } from '../../../support/webgpu'

const webgpu = useSoftwareVulkan()

describe.skipIf(!webgpu)('on webgpu', () => {
  test.each([
    ['mistral', true],
    ['qwen3', false],
    ['phi3', true],
  ])('%s writes what it writes on the CPU (resident: %s)', async (name, isResident) => {
    const runtime = await Runtime.open('webgpu')
    onTestFinished(() => runtime.dispose())
    const model = GENERATION_CASES[name] ?? {}
    const { prompt, tokens, logits } = generationReference(name)
    const decoder = await tinyDecoder(runtime, model, { isResident })
    const options = { tokens: 6, temperature: 0, seed: 0, ends: [] }
    const written = await resultOf(generate(decoder, Int32Array.from(prompt), options))
    expect(written.map(({ id }) => id)).toEqual(tokens.slice(0, 6))
    const ids = Int32Array.from([...prompt, ...tokens.slice(0, 6)])
    const step = await logitsOf(decoder, await resultOf(decoder.last(ids)))
    expect(largestDifference(step, logits[6] ?? [])).toBeLessThan(2e-5)
  })
})
