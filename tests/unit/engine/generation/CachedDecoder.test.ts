import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CachedDecoder } from '../../../../src/main/engine/generation/CachedDecoder'
import { generate, retrace } from '../../../../src/main/engine/generation/generate'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { largestDifference, logitsOf, resultOf, tinyDecoder } from '../../../support/decoding'
import { GENERATION_CASES, generationReference } from '../../../support/generationCases'
import { LOGIT_CASES } from '../../../support/logitCases'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** The logits before each of some tokens, computed one after another. */
async function stepLogits(
  decoder: CachedDecoder,
  prompt: readonly number[],
  tokens: readonly number[],
): Promise<Float32Array[]> {
  const all: Float32Array[] = []
  for (const place of tokens.keys()) {
    const ids = Int32Array.from([...prompt, ...tokens.slice(0, place)])
    all.push(await logitsOf(decoder, await resultOf(decoder.last(ids))))
  }
  return all
}

describe.each(Object.keys(GENERATION_CASES))('%s', (name) => {
  const model = GENERATION_CASES[name] ?? {}
  const { prompt, tokens, logits } = generationReference(name)

  test('writes what transformers writes', async () => {
    const decoder = await tinyDecoder(runtime, model)
    const options = { tokens: tokens.length, temperature: 0, seed: 0, ends: [] }
    const written = await resultOf(generate(decoder, Int32Array.from(prompt), options))
    expect(written.map(({ id }) => id)).toEqual(tokens)
    written.forEach(({ id, probability, candidates }, place) => {
      const row = logits[place] ?? []
      const sum = row.reduce((total, value) => total + Math.exp(value), 0)
      expect(probability).toBeCloseTo(Math.exp(row[id] ?? NaN) / sum, 5)
      expect(candidates[0]).toEqual({ id, probability })
    })
  })

  test('has its logits before each token', async () => {
    const decoder = await tinyDecoder(runtime, model)
    const steps = await stepLogits(decoder, prompt, tokens)
    steps.forEach((step, place) => {
      expect(largestDifference(step, logits[place] ?? [])).toBeLessThan(1e-5)
    })
  })

  test('computes with its cache what it computes without', async () => {
    const decoder = await tinyDecoder(runtime, model)
    const cached = await stepLogits(decoder, prompt, tokens)
    const whole = Int32Array.from([...prompt, ...tokens.slice(0, -1)])
    const hidden = await resultOf(decoder.all(whole))
    const vocab = decoder.checkpoint.config.vocabSize
    // Of shorter longrope sequences the angles are others.
    const first = name.startsWith('rope') ? 65 - prompt.length : 0
    const all = await logitsOf(decoder, hidden)
    for (let place = first; place < tokens.length; place += 1) {
      const row = prompt.length - 1 + place
      const here = all.subarray(row * vocab, (row + 1) * vocab)
      expect(largestDifference(cached[place] ?? [], here)).toBeLessThan(1e-5)
    }
  })

  test('streams the weights, and the vocabulary in parts, to the same end', async () => {
    const resident = await tinyDecoder(runtime, model)
    const streamed = await tinyDecoder(runtime, model, { isResident: false, matrixElements: 500 })
    const [a, b] = [
      await stepLogits(resident, prompt, tokens.slice(0, 4)),
      await stepLogits(streamed, prompt, tokens.slice(0, 4)),
    ]
    a.forEach((step, place) => expect(largestDifference(step, b[place] ?? [])).toBeLessThan(1e-5))
  })
})

test('a token costs one row, and the first costs all', async () => {
  const decoder = await tinyDecoder(runtime, {})
  const layers = decoder.checkpoint.config.numHiddenLayers
  const steps: string[] = []
  const options = { tokens: 3, temperature: 0, seed: 0, ends: [] }
  for await (const step of generate(decoder, Int32Array.of(1, 2, 3), options)) {
    steps.push(step.type === 'layer' ? `${step.tokens}/${step.layers}` : 'token')
  }
  const expected = [0, 1, 2].flatMap((token) => [
    ...Array.from({ length: layers }, (_, layer) => `${token}/${layer + 1}`),
    'token',
  ])
  expect(steps).toEqual(expected)
})

test('another text than before is computed anew', async () => {
  const decoder = await tinyDecoder(runtime, {})
  const at = async (...ids: number[]): Promise<Float32Array> =>
    resultOf(decoder.last(Int32Array.from(ids)))
  const fresh = await at(5, 6, 7, 8)
  await at(1, 2, 3)
  // As long as one that goes on would be.
  expect(await at(5, 6, 7, 8)).toEqual(fresh)
  await at(5, 6)
  const cached = await at(5, 6, 7)
  expect(largestDifference(await at(5, 6, 7), cached)).toBeLessThan(1e-6)
})

test('retracing says of each place what writing said', async () => {
  const decoder = await tinyDecoder(runtime, LOGIT_CASES['llama'] ?? {}, { matrixElements: 500 })
  const prompt = Int32Array.of(9, 4, 17, 30)
  const options = { tokens: 6, temperature: 1, seed: 3, ends: [] }
  const written = await resultOf(generate(decoder, prompt, options))
  const traced = await resultOf(
    retrace(
      decoder,
      prompt,
      Int32Array.from(written, ({ id }) => id),
    ),
  )
  expect(traced.map(({ id }) => id)).toEqual(written.map(({ id }) => id))
  traced.forEach(({ probability, candidates }, place) => {
    expect(probability).toBeCloseTo(written[place]?.probability ?? NaN, 5)
    expect(candidates.map(({ id }) => id)).toEqual(
      written[place]?.candidates.map(({ id }) => id) ?? [],
    )
  })
})

test('stops at a token that ends a text', async () => {
  const decoder = await tinyDecoder(runtime, GENERATION_CASES['phi3'] ?? {})
  const { prompt, tokens } = generationReference('phi3')
  const options = { tokens: 24, temperature: 0, seed: 0, ends: [63, tokens[3] ?? -1] }
  const written = await resultOf(generate(decoder, Int32Array.from(prompt), options))
  expect(written.map(({ id }) => id)).toEqual(tokens.slice(0, 4))
})

test('ends within a token when it is cancelled', async () => {
  const controller = new AbortController()
  const decoder = await tinyDecoder(runtime, {}, { signal: controller.signal })
  const options = { tokens: 20, temperature: 0, seed: 0, ends: [] }
  const steps = generate(decoder, Int32Array.of(1, 2, 3), options)
  for (;;) {
    const { value } = await steps.next()
    if (typeof value === 'object' && 'layers' in value && value.tokens === 2) break
  }
  controller.abort()
  await expect(steps.next()).rejects.toBe(controller.signal.reason)
})

test('names the layer that computes no numbers', async () => {
  const decoder = await tinyDecoder(runtime, {
    dtype: 'F32',
    scale: (name) => (/layers\.2\..*(?:gate|up)_proj/.test(name) ? 1e30 : 1),
  })
  await expect(resultOf(decoder.last(Int32Array.of(1, 2)))).rejects.toMatchObject({
    code: 'numeric_failure',
    message: expect.stringContaining('Layer 2') as unknown,
  })
})
