import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { ExpandResult, ExpandSpec } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { describe, expect, test } from 'vitest'
import { ExpertChains } from '../../src/main/engine/alignment/ExpertChains'
import { ExpertMatcher } from '../../src/main/engine/alignment/expertMatching'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { ForwardPass } from '../../src/main/engine/decoder/ForwardPass'
import { logitsOf } from '../../src/main/engine/evaluation/scoring'
import { choiceOf, factorFor } from '../../src/main/engine/growth/routing'
import { Runtime } from '../../src/main/engine/onnx/Runtime'
import {
  EXPERTS,
  NEURONS,
  shuffledUnits,
  VOCABULARY,
  writeExpertModel,
  type ExpertModelOptions,
  type UnitOrder,
} from '../support/experts'
import { learnedMethod, runExpand, runTask } from '../support/jobs'
import { expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const LESA = learnedMethod('small', {
  gaps: [1, 2, 3],
  predictor: { ...learnedMethod('small').predictor, length: { unit: 'steps', value: 400 } },
})

/** Where it does not matter how well experts are predicted. */
const QUICK = {
  ...LESA,
  predictor: { ...LESA.predictor, hiddenSize: 16, length: { unit: 'steps', value: 20 } },
} as const

async function model(options: Omit<ExpertModelOptions, 'dir'> = {}): Promise<string> {
  return writeExpertModel({ dir: join(await tempFolder(), 'base'), ...options })
}

async function logits(folder: string): Promise<Float32Array> {
  const checkpoint = await Checkpoint.open(folder)
  const runtime = await Runtime.open('cpu')
  const pass = new ForwardPass(checkpoint, runtime, new AbortController().signal)
  const ids = Int32Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % VOCABULARY)
  const found = await logitsOf(pass, ids)
  await pass.dispose()
  await runtime.dispose()
  await checkpoint.close()
  return found
}

async function grow(
  base: string,
  method: MethodSpec,
  changes: Partial<ExpandSpec> = {},
): Promise<ExpandResult> {
  const out = join(await tempFolder(), 'grown')
  return runExpand(expandSpec({ model: base, out, method, ...changes }))
}

/** ‖a − b‖ / ‖b‖ */
function apart(a: Float32Array, b: Float32Array): number {
  const square = (values: Float32Array): number =>
    values.reduce((sum, value) => sum + value * value, 0)
  return Math.sqrt(square(a.map((value, index) => value - b[index]!)) / square(b))
}

describe.each(['mixtral', 'qwen2_moe'] as const)('%s', (modelType) => {
  test('computes the same with its experts and their neurons in other orders', async () => {
    const own = await logits(await model({ modelType, noise: 0.3 }))
    const orders = Array.from({ length: 6 }, (_, layer) => shuffledUnits(layer))
    const same = await logits(await model({ modelType, orderOf: (layer) => orders[layer]! }))
    const plain = await logits(await model({ modelType }))
    expect(apart(same, plain)).toBeLessThan(1e-5)
    expect(apart(own, plain)).toBeGreaterThan(0.01)
  })

  test('matching finds the orders that its layers are in, through noise', async () => {
    const orders = Array.from({ length: 6 }, (_, layer) => shuffledUnits(layer))
    const folder = await model({ modelType, noise: 0.2, orderOf: (layer) => orders[layer]! })
    const checkpoint = await Checkpoint.open(folder)
    const runtime = await Runtime.open('cpu')
    const matcher = await ExpertMatcher.create(checkpoint, runtime)
    for (let left = 0; left < 5; left += 1) {
      const { match, report } = await matcher.match(left, left + 1, () => Promise.resolve())
      const [a, b] = [orders[left]!, orders[left + 1]!]
      // Both are the same expert of the first layer.
      match.experts.forEach((other, expert) => {
        expect(b.experts[other]).toBe(a.experts[expert])
        const neurons = match.neurons[expert]!
        neurons.forEach((to, from) => {
          expect(b.neurons[other]![to]).toBe(a.neurons[expert]![from])
        })
      })
      expect(report.matched).toBeLessThan(0.3)
      expect(report.random).toBeGreaterThan(0.6)
      expect(report.matched).toBeLessThan(report.shuffled)
    }
    await matcher.dispose()
    await runtime.dispose()
    await checkpoint.close()
  })

  test('on layers in other orders, matched starts are near a repeated layer, and the plain mean is not', async () => {
    const orders = Array.from({ length: 6 }, (_, layer) => shuffledUnits(layer))
    const base = await model({ modelType, noise: 0.05, orderOf: (layer) => orders[layer]! })
    // What a further layer of the kind would be: the layer before it once more.
    const repeated = await logits(
      (await grow(base, { name: 'interpolation', gaps: [1, 2, 3] })).out,
    )
    const far = async (method: MethodSpec, changes: Partial<ExpandSpec> = {}): Promise<number> =>
      apart(await logits((await grow(base, method, changes)).out), repeated)
    const mean = { name: 'neighbour-mean', gaps: [1, 2, 3] } as const
    const [plain, matched, lesa] = [
      await far(mean),
      await far(mean, { align: true }),
      await far(LESA),
    ]
    expect(lesa).toBeLessThan(0.5 * plain)
    expect(matched).toBeLessThan(0.6 * plain)
  })

  test('says so where experts correspond, and in the record', async () => {
    const orders = Array.from({ length: 6 }, (_, layer) => shuffledUnits(layer))
    const base = await model({ modelType, noise: 0.2, orderOf: (layer) => orders[layer]! })
    const { experts, warnings, out } = await grow(base, QUICK)
    expect(experts).toMatchObject({ isMeaningful: true, pairs: { length: 5 } })
    expect(warnings.filter((each) => each.includes('experts'))).toEqual([])
    expect(JSON.parse(await readFile(join(out, 'lesa.json'), 'utf8'))).toMatchObject({ experts })
    expect(await readFile(join(out, 'README.md'), 'utf8')).toContain('Experts correspond')
  })

  test('on layers that have nothing in common says that matching means nothing, and copies experts', async () => {
    const base = await model({ modelType, noise: 1 })
    const { experts, warnings, out } = await grow(base, QUICK)
    expect(experts?.isMeaningful).toBe(false)
    expect(warnings).toContainEqual(expect.stringContaining('Matching experts means nothing here'))
    const [from, grown] = [await Checkpoint.open(base), await Checkpoint.open(out)]
    const isSame = async (suffix: string): Promise<boolean> => {
      const own = await grown.readBytes(grown.layerTensorName(2, suffix))
      return Buffer.compare(own, await from.readBytes(from.layerTensorName(1, suffix))) === 0
    }
    const { router } = from.architecture.forward.experts!
    expect(await isSame(`${router}.weight`)).toBe(true)
    for (const { weight, expert } of from.slotsOf(1)) {
      expect(await isSame(weight.tensor), weight.tensor).toBe(expert !== null)
    }
    await from.close()
    await grown.close()
  })
})

describe('routers of new layers', () => {
  const TEXT = resolve(import.meta.dirname, '../../resources/demo-texts/ledger.txt')

  test('are scaled on a text until they choose as sharply as those beside them', async () => {
    const orders = Array.from({ length: 5 }, (_, layer) => shuffledUnits(layer))
    const base = await model({
      layers: 5,
      noise: 0.4,
      hasTokenizer: true,
      orderOf: (layer) => orders[layer]!,
    })
    const mean = { name: 'neighbour-mean', gaps: [1, 2] } as const
    const calibration = { text: TEXT, tokens: 512, context: 32 }
    const plain = await grow(base, mean, { align: true })
    const scaled = await grow(base, mean, { align: true, calibration })
    expect(plain.routing).toBeUndefined()
    expect(scaled.routing?.layers.map(({ layer }) => layer)).toEqual([2, 4])
    const [own, other] = [await Checkpoint.open(scaled.out), await Checkpoint.open(plain.out)]
    for (const { layer, factor, before, after, neighbours } of scaled.routing?.layers ?? []) {
      expect(Math.abs(after.entropy - neighbours.entropy)).toBeLessThan(1e-3)
      expect(Math.abs(before.entropy - neighbours.entropy)).toBeGreaterThan(1e-3)
      const router = own.layerTensorName(layer, 'block_sparse_moe.gate.weight')
      const [values, unscaled] = [await own.readFloat32(router), await other.readFloat32(router)]
      values.forEach((value, at) => expect(value).toBeCloseTo(factor * unscaled[at]!, 5))
    }
    await own.close()
    await other.close()
    expect(await readFile(join(scaled.out, 'README.md'), 'utf8')).toContain(
      'routers of new layers were scaled',
    )
  })

  test('have the entropy and the busiest expert of their choices', () => {
    const even = choiceOf([Float32Array.of(0, 0, 0, 0)], { count: 2, perToken: 1 }, 1)
    expect(even.entropy).toBeCloseTo(Math.log(2), 6)
    expect(even.busiest).toBe(1)
    const scores = [Float32Array.of(3, 1, 0, 0, 2, 1)]
    const chosen = choiceOf(scores, { count: 3, perToken: 2 }, 1)
    expect(chosen.busiest).toBe(0.5)
    const entropyOf = (factor: number): number =>
      choiceOf(scores, { count: 3, perToken: 2 }, factor).entropy
    expect(entropyOf(factorFor(entropyOf, 0.5))).toBeCloseTo(0.5, 3)
    expect(factorFor(entropyOf, 2)).toBeCloseTo(1 / 16, 3)
  })
})

test('a job in parts has the same weights as one in one go', async () => {
  const orders = Array.from({ length: 6 }, (_, layer) => shuffledUnits(layer))
  const base = await model({ noise: 0.2, orderOf: (layer) => orders[layer]! })
  const folder = await tempFolder()
  const spec = expandSpec({ model: base, out: join(folder, 'whole'), method: QUICK })
  const whole = await runExpand(spec)
  const { kind: _, out: __, overwrite: ___, ...growth } = spec
  const job = join(folder, 'job')
  for (const only of [
    ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
    ['experts.gate_proj', 'experts.up_proj', 'experts.down_proj'],
  ]) {
    await runTask({ ...growth, kind: 'stages', job, only })
  }
  const out = join(folder, 'assembled')
  await runTask({ kind: 'assemble', job, out, overwrite: false, maxShardBytes: 2 ** 30 })
  expect(await readFile(join(out, 'model.safetensors'))).toEqual(
    await readFile(join(whole.out, 'model.safetensors')),
  )
})

describe('chains of experts', () => {
  const order = (experts: readonly number[], neurons: readonly number[]): UnitOrder => ({
    experts,
    neurons: experts.map(() => neurons),
  })
  const match = ({ experts, neurons }: UnitOrder) => ({
    experts: Int32Array.from(experts),
    neurons: neurons.map((own) => Int32Array.from(own)),
  })

  test('follow the matches from layer to layer, and come back from a file', async () => {
    const found = ExpertChains.fromMatches(
      { experts: 3, neurons: 2 },
      [1, 2, 4],
      [match(order([2, 0, 1], [1, 0])), match(order([1, 2, 0], [0, 1]))],
    )
    const folder = await tempFolder()
    await found.save(folder)
    for (const chains of [found, await ExpertChains.load(folder)]) {
      expect([0, 1, 2].map((chain) => chains.expertOf(1, chain))).toEqual([0, 1, 2])
      expect([0, 1, 2].map((chain) => chains.expertOf(2, chain))).toEqual([2, 0, 1])
      expect([0, 1, 2].map((chain) => chains.expertOf(4, chain))).toEqual([0, 1, 2])
      expect(chains.chainOf(2, 0)).toBe(1)
      const rows = Float32Array.of(1, 2, 3, 4)
      expect(chains.align(rows.slice(), 2, { layer: 2, chain: 0 })).toEqual(
        Float32Array.of(3, 4, 1, 2),
      )
      const back = chains.align(rows.slice(), 2, { layer: 2, chain: 0 })
      expect(chains.restore(back, 2, { layer: 2, chain: 0 })).toEqual(rows)
      expect(() => chains.expertOf(3, 0)).toThrow('layer 3')
    }
    expect(found.moved).toBeCloseTo(3 / 9)
  })

  test('have as many orders as there are experts and neurons', () => {
    const { experts, neurons } = shuffledUnits(1)
    expect([experts.length, neurons.length, neurons[0]?.length]).toEqual([
      EXPERTS,
      EXPERTS,
      NEURONS,
    ])
  })
})
