import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adamw, adamwScalars, SCALARS } from '../../../../../src/main/engine/training/adamw'
import { gradients } from '../../../../../src/main/engine/onnx/gradients'
import { Graph, type Value } from '../../../../../src/main/engine/onnx/graph'
import { Runtime, type Tensor } from '../../../../../src/main/engine/onnx/Runtime'
import {
  packParameters,
  parameterGroups,
  unpackParameters,
} from '../../../../../src/main/engine/training/parameters'
import {
  initialWeights,
  PARAMETER_NAMES,
  parameterDims,
  predictorForward,
  predictorLoss,
  predictorParameters,
  type ParameterName,
  type PredictorShape,
  type PredictorValues,
  type PredictorWeights,
} from '../../../../../src/main/engine/lesa/predictor/predictor'
import {
  trainingGraph,
  type SampleTensors,
} from '../../../../../src/main/engine/lesa/predictor/trainingGraph'
import { Random } from '../../../../../src/main/engine/lib/random'
import { seededFloats } from '../../../../support/random'

const SETTINGS = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 }
const LAMBDA = 1e-3
const SHAPE: PredictorShape = { width: 300, hidden: 120 }
const PARAMETERS = predictorParameters(SHAPE)
const [STEPS, BATCH, ROWS] = [3, 4, 50]

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** Whole numbers, which both kinds of rows hold exactly, and what they are to be multiplied by. */
const rows = seededFloats(ROWS * SHAPE.width, 1).map((value) => Math.round(value * 1000))
const scales = Float32Array.from({ length: ROWS }, (_, row) => 1e-3 * (1 + row / 100))

/** Samples of their own for each step. */
const table = (seed: number): Int32Array =>
  Int32Array.from({ length: STEPS * BATCH }, (_, at) => (at * 7 + seed) % ROWS)
const places = { left: table(0), right: table(11), target: table(23) }

const initial = (): PredictorWeights => initialWeights(SHAPE, new Random(3, 'test'))

/** The same steps the plain way: every parameter by itself, one step in each run. */
async function plainSteps(): Promise<{ weights: PredictorWeights; losses: number[] }> {
  const g = new Graph()
  const dims = parameterDims(SHAPE)
  const values = Object.fromEntries(
    PARAMETER_NAMES.map((name) => [name, g.input(name, dims[name])]),
  ) as PredictorValues
  const x = g.input('x', [BATCH, 2 * SHAPE.width])
  const y = g.input('y', [BATCH, SHAPE.width])
  const loss = predictorLoss(g, [predictorForward(g, values, x)], [y], LAMBDA)
  const wrt = PARAMETER_NAMES.map((name) => values[name])
  const [scale, offset, kept] = SCALARS.map((name) => g.input(name, [1])) as [Value, Value, Value]
  const scalars = { scale, offset, kept }
  gradients(g, loss, wrt).forEach((slope, index) => {
    const name = PARAMETER_NAMES[index]!
    const [first, second] = [g.input(`${name}.1`, dims[name]), g.input(`${name}.2`, dims[name])]
    const next = adamw(g, { value: values[name], first, second }, slope, scalars, SETTINGS)
    g.output(`${name}.next`, next.value)
    g.output(`${name}.1.next`, next.first)
    g.output(`${name}.2.next`, next.second)
  })
  g.output('loss', loss)
  const kernel = await runtime.compile(g)
  const scaled = (row: number): number[] =>
    [...rows.subarray(row * SHAPE.width, (row + 1) * SHAPE.width)].map((v) => v * scales[row]!)
  const tensor = (values: ArrayLike<number>, shape: readonly number[]): Tensor =>
    runtime.float32(Float32Array.from(values), shape)
  const state = new Map<string, Float32Array>()
  for (const name of PARAMETER_NAMES) {
    state.set(name, initial()[name])
    for (const k of [1, 2]) state.set(`${name}.${k}`, new Float32Array(initial()[name].length))
  }
  const losses: number[] = []
  for (let step = 0; step < STEPS; step += 1) {
    const own = (all: Int32Array): number[] => [...all.subarray(step * BATCH, (step + 1) * BATCH)]
    const [left, right] = [own(places.left), own(places.right)]
    const stepScalars = adamwScalars(step + 1, SETTINGS)
    const results = await kernel.run({
      x: tensor(
        left.flatMap((row, k) => [...scaled(row), ...scaled(right[k]!)]),
        [BATCH, 2 * SHAPE.width],
      ),
      y: tensor(own(places.target).flatMap(scaled), [BATCH, SHAPE.width]),
      ...Object.fromEntries(SCALARS.map((name, k) => [name, tensor([stepScalars[k]!], [1])])),
      ...Object.fromEntries(
        [...state].map(([key, values]) => [
          key,
          tensor(values, dims[key.replace(/\.[12]$/, '') as ParameterName]),
        ]),
      ),
    })
    for (const key of state.keys()) state.set(key, results.floats(`${key}.next`).slice())
    losses.push(results.floats('loss')[0] ?? NaN)
  }
  const weights = Object.fromEntries(PARAMETER_NAMES.map((name) => [name, state.get(name)!]))
  return { weights: weights as unknown as PredictorWeights, losses }
}

/** The training graph's steps, `atOnce` of them in each run. */
async function graphSteps(
  blockSize: number,
  samples: SampleTensors,
  atOnce: number,
): Promise<{ weights: PredictorWeights; losses: number[] }> {
  const groups = parameterGroups(PARAMETERS, blockSize)
  const kernel = await runtime.compile(trainingGraph(groups, samples, LAMBDA, SETTINGS))
  let column = 0
  const slabs = samples.slabs.map((columns, index) => {
    const from = column
    column += columns
    const values = Float32Array.from(
      { length: ROWS * columns },
      (_, at) => rows[Math.floor(at / columns) * SHAPE.width + from + (at % columns)] ?? NaN,
    )
    const stored = samples.precision === 'int16' ? Int16Array.from(values) : values
    return [`rows.${index}`, runtime.stored(stored, [ROWS, columns])] as const
  })
  const state = new Map<string, Tensor>()
  for (const [name, values] of packParameters(PARAMETERS, groups, initial())) {
    state.set(`${name}.value`, runtime.float32(values, [values.length]))
    for (const moment of ['first', 'second']) {
      state.set(
        `${name}.${moment}`,
        runtime.float32(new Float32Array(values.length), [values.length]),
      )
    }
  }
  const losses: number[] = []
  for (let step = 0; step < STEPS; step += atOnce) {
    const own = (all: Int32Array): Tensor =>
      runtime.int32(all.slice(step * BATCH, (step + atOnce) * BATCH), [atOnce, BATCH])
    const schedule = Array.from({ length: atOnce }, (_, k) => adamwScalars(step + k + 1, SETTINGS))
    const results = await kernel.run({
      steps: runtime.int64(BigInt64Array.of(BigInt(atOnce)), []),
      ...Object.fromEntries(slabs),
      scales: runtime.float32(scales, [ROWS]),
      left: own(places.left),
      right: own(places.right),
      target: own(places.target),
      schedule: runtime.float32(Float32Array.from(schedule.flat()), [atOnce, 3]),
      ...Object.fromEntries(state),
    })
    for (const key of state.keys()) state.set(key, results.one(`${key}.next`))
    losses.push(...results.floats('loss'))
  }
  const values = new Map<string, Float32Array>()
  for (const { name } of groups) values.set(name, await runtime.read(state.get(`${name}.value`)!))
  return { weights: unpackParameters(PARAMETERS, groups, values), losses }
}

const rms = (values: Float32Array): number => Math.hypot(...values) / Math.sqrt(values.length)

const FLOATS: SampleTensors = { precision: 'float32', slabs: [300] }

describe('the training graph', () => {
  test.each<[string, number, SampleTensors]>([
    ['whole weights', Infinity, FLOATS],
    // The last block of each weight is smaller than the others.
    ['weights in blocks', 16_000, FLOATS],
    ['rows in slabs', Infinity, { precision: 'float32', slabs: [100, 180, 20] }],
    ['rows of integers, weights in blocks', 16_000, { precision: 'int16', slabs: [300] }],
  ])('takes the steps that one step at a time takes: %s', async (_, blockSize, samples) => {
    const expected = await plainSteps()
    const { weights, losses } = await graphSteps(blockSize, samples, STEPS)
    expect(losses[2]).toBeLessThan(losses[0] ?? 0)
    losses.forEach((loss, step) => {
      expect(Math.abs(loss / (expected.losses[step] ?? NaN) - 1)).toBeLessThan(1e-5)
    })
    for (const name of PARAMETER_NAMES) {
      const before = initial()[name]
      const moved = weights[name].map((value, at) => value - before[at]!)
      const off = weights[name].map((value, at) => value - expected.weights[name][at]!)
      // Three steps of about the learning rate; where a slope is nearly zero, its rounding decides on a step.
      expect(rms(moved)).toBeGreaterThan(1e-3)
      expect(rms(off)).toBeLessThan(1e-3 * rms(moved))
    }
  })

  test('gives the same numbers in one run as in a run for each step', async () => {
    const together = await graphSteps(16_000, FLOATS, STEPS)
    expect(await graphSteps(16_000, FLOATS, 1)).toEqual(together)
  })
})

describe('the optimiser’s groups', () => {
  test.each([
    ['the paper’s predictor for width 2048', { width: 2048, hidden: 256 }, 2 ** 18, 7],
    ['… for width 5632', { width: 5632, hidden: 256 }, 2 ** 18, 19],
    ['… for width 128', { width: 128, hidden: 256 }, 2 ** 18, 1],
    ['… whole', { width: 2048, hidden: 256 }, Infinity, 4],
    ['one column, one hidden unit', { width: 1, hidden: 1 }, 2 ** 18, 1],
    ['odd sizes', { width: 1237, hidden: 311 }, 50_000, 31],
  ] as const)('hold every parameter once: %s', (_, shape, blockSize, count) => {
    const parameters = predictorParameters(shape)
    const groups = parameterGroups(parameters, blockSize)
    expect(groups).toHaveLength(count)
    const weights = initialWeights(shape, new Random(1, 'groups'))
    const packed = packParameters(parameters, groups, weights)
    const sizes = Object.values(weights).reduce((sum, { length }) => sum + length, 0)
    expect([...packed.values()].reduce((sum, { length }) => sum + length, 0)).toBe(sizes)
    const again = unpackParameters(parameters, groups, packed)
    for (const name of PARAMETER_NAMES) {
      expect(again[name].every((value, at) => value === weights[name][at])).toBe(true)
    }
    for (const { blocks } of groups.filter(({ name }) => name !== 'small')) {
      expect(blocks).toHaveLength(1)
      expect(blocks[0]?.size).toBeLessThanOrEqual(Math.max(blockSize, 64 * shape.hidden))
    }
  })
})
