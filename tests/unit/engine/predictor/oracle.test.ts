import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adamwSchedule } from '../../../../src/main/engine/onnx/adamw'
import { gradients } from '../../../../src/main/engine/onnx/gradients'
import { Graph, type Value } from '../../../../src/main/engine/onnx/graph'
import { Runtime, type Tensor } from '../../../../src/main/engine/onnx/Runtime'
import {
  PARAMETER_NAMES,
  parameterDims,
  predictorForward,
  predictorLoss,
  type ParameterName,
  type PredictorValues,
} from '../../../../src/main/engine/predictor/predictor'
import { parameterGroups, trainingGraph } from '../../../../src/main/engine/predictor/trainingGraph'
import { predictorSteps } from '../../../support/oracle'

const SHAPE = { width: 5, hidden: 8 }
const SETTINGS = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 }
/** The recorded network reads 12 inputs for 5 outputs; a predictor reads twice its width. */
const INPUTS = 12

const flat = (value: unknown): Float32Array =>
  Float32Array.from((value as (number | number[])[]).flat())
const record = (value: unknown): Record<ParameterName, unknown> =>
  value as Record<ParameterName, unknown>

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

function closeTo(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  expect(actual.length).toBe(expected.length)
  actual.forEach((value, index) => {
    expect(Math.abs(value - (expected[index] ?? NaN))).toBeLessThanOrEqual(tolerance)
  })
}

describe('one training step equals PyTorch', () => {
  test('loss and gradients of each of the three recorded steps', async () => {
    const g = new Graph()
    const dims = { ...parameterDims(SHAPE), 'fc1.weight': [SHAPE.hidden, INPUTS] }
    const values = Object.fromEntries(
      PARAMETER_NAMES.map((name) => [name, g.input(name, dims[name])]),
    ) as PredictorValues
    const x = g.input('x', ['batch', INPUTS])
    const y = g.input('y', ['batch', SHAPE.width])
    const loss = predictorLoss(g, predictorForward(g, values, x), y, predictorSteps.lambda_)
    const slopes = gradients(
      g,
      loss,
      PARAMETER_NAMES.map((name) => values[name]),
    )
    g.output('loss', loss)
    slopes.forEach((slope, index) => g.output(`d.${PARAMETER_NAMES[index] ?? ''}`, slope))
    const kernel = await runtime.compile(g)
    let current = record(predictorSteps.initial)
    for (const step of predictorSteps.steps) {
      const feeds: Record<string, Tensor> = {
        x: runtime.float32(flat(step['X']), [4, INPUTS]),
        y: runtime.float32(flat(step['Y']), [4, SHAPE.width]),
      }
      for (const name of PARAMETER_NAMES)
        feeds[name] = runtime.float32(flat(current[name]), dims[name])
      const results = await kernel.run(feeds)
      expect(Math.abs((results.floats('loss')[0] ?? NaN) - Number(step['loss']))).toBeLessThan(1e-6)
      for (const name of PARAMETER_NAMES) {
        closeTo(results.floats(`d.${name}`), flat(record(step['gradients'])[name]), 1e-6)
      }
      current = record(step['parameters'])
    }
  })

  test('AdamW: parameters after each of the three steps, from the recorded gradients', async () => {
    const { adamw } = await import('../../../../src/main/engine/onnx/adamw')
    const g = new Graph()
    const input = (name: string): Value => g.input(name, ['n'])
    const next = adamw(
      g,
      { value: input('value'), first: input('first'), second: input('second') },
      input('gradient'),
      { scale: g.input('scale', [1]), offset: g.input('offset', [1]) },
      SETTINGS,
    )
    g.output('value.next', next.value)
    g.output('first.next', next.first)
    g.output('second.next', next.second)
    const kernel = await runtime.compile(g)
    for (const name of PARAMETER_NAMES) {
      let value = flat(predictorSteps.initial[name])
      let first = new Float32Array(value.length)
      let second = new Float32Array(value.length)
      for (const [index, step] of predictorSteps.steps.entries()) {
        const [scale, offset] = adamwSchedule(index + 1, SETTINGS)
        const vector = (values: Float32Array): Tensor => runtime.float32(values, [values.length])
        const results = await kernel.run({
          value: vector(value),
          first: vector(first),
          second: vector(second),
          gradient: vector(flat(record(step['gradients'])[name])),
          scale: vector(Float32Array.of(scale)),
          offset: vector(Float32Array.of(offset)),
        })
        value = results.floats('value.next').slice()
        first = results.floats('first.next').slice()
        second = results.floats('second.next').slice()
        closeTo(value, flat(record(step['parameters'])[name]), 1e-6)
      }
    }
  })
})

describe('the training loop', () => {
  let firstLosses: number[] | null = null
  test.each([
    ['rows in one tensor', 'float32', [300]],
    ['rows in slabs', 'float32', [100, 180, 20]],
    ['rows of integers', 'int16', [300]],
  ] as const)(
    'takes the same steps in one run as one by one, packed and unpacked parameters alike, %s',
    async (_, precision, slabs) => {
      const shape = { width: 300, hidden: 120 }
      const groups = parameterGroups(shape)
      expect(groups.map(({ name }) => name)).toEqual(['fc1.weight', 'small'])
      const kernel = await runtime.compile(
        trainingGraph(shape, { precision, slabs }, 1e-3, SETTINGS),
      )
      const noise = (size: number, seed: number): Float32Array =>
        Float32Array.from({ length: size }, (_, i) => Math.sin(i * 12.9898 + seed) * 0.05)
      const [steps, batch] = [3, 4]
      // Whole numbers, which both kinds of rows hold exactly.
      const rows = noise(50 * 300, 1).map((value) => Math.round(value * 1000))
      const scales = Float32Array.from({ length: 50 }, (_, row) => 1e-3 * (1 + row / 100))
      let column = 0
      const slabTensors = slabs.map((columns, index) => {
        const from = column
        column += columns
        const values = Float32Array.from(
          { length: 50 * columns },
          (_, at) => rows[Math.floor(at / columns) * 300 + from + (at % columns)] ?? NaN,
        )
        const stored = precision === 'int16' ? Int16Array.from(values) : values
        return [`rows.${index}`, runtime.stored(stored, [50, columns])] as const
      })
      // Rows of their own for each sample of every step.
      const table = (seed: number): Int32Array =>
        Int32Array.from({ length: steps * batch }, (_, at) => (at * 7 + seed) % 50)
      const [left, right, target] = [table(0), table(11), table(23)]
      const schedule = Float32Array.from([1, 2, 3].flatMap((step) => adamwSchedule(step, SETTINGS)))
      const start = new Map<string, Float32Array>()
      for (const { name, size } of groups) {
        start.set(`${name}.value`, noise(size, 3))
        start.set(`${name}.first`, new Float32Array(size))
        start.set(`${name}.second`, new Float32Array(size))
      }
      const run = async (state: Map<string, Float32Array>, first: number, count: number) => {
        const places = (all: Int32Array): Tensor =>
          runtime.int32(all.slice(first * batch, (first + count) * batch), [count, batch])
        const results = await kernel.run({
          steps: runtime.int64(BigInt64Array.of(BigInt(count)), []),
          ...Object.fromEntries(slabTensors),
          scales: runtime.float32(scales, [50]),
          left: places(left),
          right: places(right),
          target: places(target),
          schedule: runtime.float32(schedule.slice(2 * first, 2 * (first + count)), [count, 2]),
          ...Object.fromEntries(
            [...state].map(([name, values]) => [name, runtime.float32(values, [values.length])]),
          ),
        })
        const next = new Map(
          [...state.keys()].map((name) => [name, results.floats(`${name}.next`).slice()]),
        )
        return { next, losses: [...results.floats('loss')] }
      }
      const together = await run(start, 0, 3)
      let state = start
      const losses: number[] = []
      for (const step of [0, 1, 2]) {
        const one = await run(state, step, 1)
        state = one.next
        losses.push(...one.losses)
      }
      expect(together.losses).toEqual(losses)
      for (const [name, values] of together.next) expect(values).toEqual(state.get(name))
      expect(together.losses[2]).toBeLessThan(together.losses[0] ?? 0)
      // However the rows are stored, the numbers are the same.
      firstLosses ??= together.losses
      expect(together.losses).toEqual(firstLosses)
    },
  )
})
