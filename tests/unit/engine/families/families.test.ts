import { join } from 'node:path'
import type { ExpandResult } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { elementsOf } from '../../../../src/main/engine/architectures/Architecture'
import type { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import {
  readFloatTensors,
  type FloatTensor,
} from '../../../../src/main/engine/checkpoint/floatTensors'
import { layerInputs } from '../../../../src/main/engine/decoder/decoderLayer'
import { requireFittable } from '../../../../src/main/engine/fitting/fittable'
import { CachedDecoder } from '../../../../src/main/engine/generation/CachedDecoder'
import { generate } from '../../../../src/main/engine/generation/generate'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { resultOf } from '../../../support/decoding'
import { FAMILY_CASES, familyModel, familyReference } from '../../../support/familyCases'
import { learnedMethod, runExpand, runTask } from '../../../support/jobs'
import { computingAgain, finish, keeping, openTrainer } from '../../../support/layerTraining'
import { PRETRAIN_CASES } from '../../../support/pretrainCases'
import { expandSpec, placeSpec } from '../../../support/specs'
import { WEIGHT_TYPES } from '../../../support/weightTypes'
import { lossesOf, openForTest } from '../../../support/losses'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

const apart = (actual: number, expected = NaN): number => Math.abs(actual / expected - 1)

const open = openForTest
const losses = (folder: string, ids: readonly number[]): Promise<readonly number[]> =>
  lossesOf(runtime, folder, ids)

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

async function grown(
  name: string,
  method: MethodSpec,
  changes: Partial<Parameters<typeof expandSpec>[0]> = {},
): Promise<{ readonly out: string; readonly result: ExpandResult }> {
  const out = join(await tempFolder(), 'grown')
  const spec = expandSpec({ model: familyModel(name), out, method, seed: 3, ...changes })
  return { out, result: await runExpand(spec) }
}

const SMALL = learnedMethod('small')
const LENGTH = { unit: 'steps', value: 20 } as const
const QUICK = { ...SMALL, predictor: { ...SMALL.predictor, length: LENGTH, hiddenSize: 16 } }

/** A quick one of each method, the fitted start aside, which needs a text. */
const METHOD_SPECS: Readonly<Record<string, MethodSpec>> = {
  lesa: QUICK,
  solar: { name: 'solar' },
  interpolation: { name: 'interpolation' },
  'neighbour-mean': { name: 'neighbour-mean' },
  'opt-deus': { name: 'opt-deus', asPublished: false },
  noise: { ...QUICK, name: 'noise' },
}

describe.each(FAMILY_CASES)('%s', (name) => {
  const reference = familyReference(name)

  test('has every tensor of the file, and needs no remark but of what lies outside the decoder', async () => {
    const checkpoint = await open(familyModel(name))
    const { architecture, config } = checkpoint
    const expected = Array.from({ length: config.numHiddenLayers }, (_, layer) =>
      architecture
        .layerTensors(config, layer)
        .map(({ suffix }) => checkpoint.layerTensorName(layer, suffix)),
    ).flat()
    const inLayers = [...checkpoint.tensors.keys()].filter((each) =>
      each.startsWith(architecture.layerPrefix),
    )
    expect(new Set(expected)).toEqual(new Set(inLayers))
    const outside = expect.stringMatching(/tensors outside of it .* byte for byte/) as string
    expect(checkpoint.remarks).toEqual(architecture.wrapping ? [outside] : [])
  })

  test('gives every token the likelihood that transformers gives it', async () => {
    const own = await losses(familyModel(name), reference.ids)
    expect(apart(mean(own), mean(reference.nll))).toBeLessThan(1e-5)
    own.forEach((loss, place) => {
      expect(Math.abs(loss - (reference.nll[place] ?? NaN))).toBeLessThan(2e-4)
    })
  })

  test('has the gradients that PyTorch has', async () => {
    const trained = [...new Set(Object.keys(reference.gradients).map(layerOf))]
    const settings = { ...PRETRAIN_CASES['llama']!, schedule: () => 1, layers: trained, clip: 0 }
    const batch = reference.windows.length
    const context = reference.windows[0]?.length ?? 0
    for (const plan of [keeping, computingAgain(1)]) {
      const options = { settings, context, batch, plan }
      const trainer = await openTrainer(runtime, familyModel(name), options)
      const report = await finish(
        trainer.step(reference.windows.map((ids) => Int32Array.from(ids))),
      )
      expect(apart(report.loss, reference.loss)).toBeLessThan(1e-5)
      const folder = await tempFolder()
      await trainer.save(folder)
      const checkpoint = await open(familyModel(name))
      for (const layer of trained) {
        const { tensors } = await readFloatTensors(join(folder, `layer-${layer}.safetensors`))
        const gradients = gradientsOf(checkpoint, layer, tensors)
        for (const [tensor, values] of gradients) {
          const { norm, values: samples } = reference.gradients[tensor]!
          // Scores do not change with what is added to all keys alike: without positions, a key's bias has no gradient.
          const tolerance = 1e-4 * norm + 1e-7
          expect(Math.abs(Math.hypot(...values) - norm), tensor).toBeLessThan(tolerance)
          const every = Math.max(1, Math.floor(values.length / samples.length))
          samples.forEach((sample, index) => {
            expect(Math.abs(values[index * every]! - sample), tensor).toBeLessThan(tolerance)
          })
        }
        expect(gradients.size).toBe(
          Object.keys(reference.gradients).filter((each) => layerOf(each) === layer).length,
        )
      }
    }
  })

  test('writes what transformers writes', async () => {
    const checkpoint = await open(familyModel(name))
    const { signal } = new AbortController()
    const decoder = new CachedDecoder(checkpoint, runtime, signal, { isResident: true })
    onTestFinished(() => decoder.dispose())
    const prompt = Int32Array.from(reference.ids.slice(0, reference.prompt))
    const options = { tokens: reference.tokens.length, temperature: 0, seed: 0, ends: [] }
    const written = await resultOf(generate(decoder, prompt, options))
    expect(written.map(({ id }) => id)).toEqual(reference.tokens)
  })

  test('grown with blocks that add nothing, is the base to the last bit', async () => {
    const { out, result } = await grown(name, { name: 'llama-pro', groups: 2 })
    expect(result.num_hidden_layers).toBe(6)
    const base = await losses(familyModel(name), reference.ids)
    expect(await losses(out, reference.ids)).toEqual(base)
  })

  test('stacked, is what transformers makes of the same layers', async () => {
    const { out, result } = await grown(name, { name: 'stack', repeat: [1, 2] })
    expect(result.num_hidden_layers).toBe(reference.sources.length)
    const own = await losses(out, reference.ids)
    expect(apart(mean(own), reference.stacked)).toBeLessThan(1e-5)
  })

  test.each(Object.entries(METHOD_SPECS))('grows by %s', async (_, method) => {
    const { experts, convolution } = (await open(familyModel(name))).config
    if (method.name === 'opt-deus' && (experts ?? convolution) !== null) {
      const message = experts ? /OpT-DeUS.*experts/ : /OpT-DeUS.*convolutions/
      const refusal = { code: 'unsupported_architecture', message }
      await expect(grown(name, method)).rejects.toMatchObject({
        ...refusal,
        message: expect.stringMatching(refusal.message) as string,
      })
      return
    }
    const { out } = await grown(name, method)
    expect((await losses(out, reference.ids)).every(Number.isFinite)).toBe(true)
  })

  test.each(['lesa', 'neighbour-mean'])('grows by %s with its layers matched', async (method) => {
    const { out } = await grown(name, METHOD_SPECS[method]!, { align: true })
    expect((await losses(out, reference.ids)).every(Number.isFinite)).toBe(true)
  })

  test('damped to nothing, is the base, and to a tenth nearer to it than undamped', async () => {
    const base = mean(await losses(familyModel(name), reference.ids))
    const far = async (damp: number): Promise<number> => {
      const { out } = await grown(name, { name: 'neighbour-mean' }, { damp })
      return Math.abs(mean(await losses(out, reference.ids)) - base)
    }
    expect(await far(0)).toBeLessThan(1e-6)
    const [tenth, whole] = [await far(0.01), await far(1)]
    expect(tenth).toBeGreaterThan(0)
    expect(tenth).toBeLessThan(whole)
  })
})

describe('what cannot be done is refused before anything is computed', () => {
  const POST_NORMS = ['olmo2', 'olmo3', 'gemma2', 'gemma3_text', 'gemma3', 'glm4', 'exaone4']

  test.each(FAMILY_CASES)(
    'a fit to a text of %s, where norms stand behind its branches or it has experts',
    async (name) => {
      const checkpoint = await open(familyModel(name))
      const ask = (): void => requireFittable(checkpoint, 'growth')
      if (checkpoint.config.experts !== null) expect(ask).toThrow('cannot be fitted')
      else if (!POST_NORMS.includes(name)) expect(ask).not.toThrow()
      else {
        expect(ask).toThrow(
          expect.objectContaining({
            code: 'unsupported_architecture',
            context: expect.objectContaining({
              actual: expect.stringContaining('layernorm') as string,
            }) as object,
          }),
        )
        expect(() => requireFittable(checkpoint, 'places')).toThrow(
          expect.objectContaining({
            message: expect.stringContaining('cannot be measured') as string,
            hint: expect.stringContaining('Choose gaps yourself') as string,
          }),
        )
      }
    },
  )

  test('as a method, and as a measurement of places', async () => {
    const refused = { code: 'unsupported_architecture' }
    const calibration = { text: familyModel('olmo2') }
    await expect(
      grown('olmo2', { name: 'fitted', rounds: 1 }, { calibration }),
    ).rejects.toMatchObject(refused)
    const spec = placeSpec({ model: familyModel('olmo2'), text: familyModel('olmo2') })
    await expect(runTask(spec)).rejects.toMatchObject(refused)
  })
})

describe('in a model whose layers differ', () => {
  test('a new layer is of the type of the one before it, and made of two of these; a broken period is told', async () => {
    const { result, out } = await grown('gemma2', { name: 'neighbour-mean', gaps: [1] })
    expect(result.warnings).toEqual([expect.stringMatching(/repeat every 2 layers/)])
    const [base, own] = [await open(familyModel('gemma2')), await open(out)]
    const { windows } = base.config
    expect(own.config.windows).toEqual([...windows.slice(0, 2), windows[1], ...windows.slice(2)])
    const name = (layer: number): string => base.layerTensorName(layer, 'self_attn.q_proj.weight')
    const [a, b, made] = [
      await base.readFloat32(name(1)),
      await base.readFloat32(name(3)),
      await own.readFloat32(name(2)),
    ]
    // Halves of bfloat16 numbers, rounded.
    made.forEach((value, at) => expect(value).toBeCloseTo((a[at]! + b[at]!) / 2, 2))
    const { result: whole } = await grown('gemma2', { name: 'stack', repeat: [1, 2] })
    expect(whole.warnings).toEqual([])
    const { result: alike } = await grown('olmo2', { name: 'neighbour-mean', gaps: [1] })
    expect(alike.warnings).toEqual([])
  })

  test('predictors are trained for each type that has layers enough, else for all layers', async () => {
    const { result } = await grown('gemma3_text', { ...QUICK, gaps: [1] })
    expect(result.predictors.map(({ weightType }) => weightType)).toEqual(WEIGHT_TYPES)
  })
})

/** The first moments after one step, which are the gradients, by the names of the file's tensors. */
function gradientsOf(
  { architecture, config }: Checkpoint,
  layer: number,
  state: ReadonlyMap<string, FloatTensor>,
): Map<string, Float32Array> {
  const found = new Map<string, Float32Array>()
  for (const { suffix, shape } of architecture.layerTensors(config, layer)) {
    const values = new Float32Array(elementsOf(shape))
    for (const input of layerInputs(architecture, config, layer)) {
      const moments = state.get(`${input.name}.first`)
      if (input.tensor === suffix && moments) values.set(moments.values, input.offset)
    }
    found.set(`${architecture.layerPrefix}${layer}.${suffix}`, values)
  }
  return found
}

function layerOf(tensor: string): number {
  return Number(/\.layers\.(\d+)\./.exec(tensor)?.[1])
}
