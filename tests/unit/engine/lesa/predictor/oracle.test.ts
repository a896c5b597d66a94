import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adamw, adamwScalars } from '../../../../../src/main/engine/training/adamw'
import { gradients } from '../../../../../src/main/engine/onnx/gradients'
import { Graph, type Value } from '../../../../../src/main/engine/onnx/graph'
import { Runtime, type Tensor } from '../../../../../src/main/engine/onnx/Runtime'
import {
  PARAMETER_NAMES,
  parameterDims,
  predictorForward,
  predictorLoss,
  type ParameterName,
  type PredictorValues,
} from '../../../../../src/main/engine/lesa/predictor/predictor'
import { predictorSteps } from '../../../../support/oracle'

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
    const loss = predictorLoss(g, [predictorForward(g, values, x)], [y], predictorSteps.lambda_)
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
    const g = new Graph()
    const input = (name: string): Value => g.input(name, ['n'])
    const next = adamw(
      g,
      { value: input('value'), first: input('first'), second: input('second') },
      input('gradient'),
      { scale: g.input('scale', [1]), offset: g.input('offset', [1]), kept: g.input('kept', [1]) },
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
        const [scale, offset, kept] = adamwScalars(index + 1, SETTINGS)
        const vector = (values: Float32Array): Tensor => runtime.float32(values, [values.length])
        const results = await kernel.run({
          value: vector(value),
          first: vector(first),
          second: vector(second),
          gradient: vector(flat(record(step['gradients'])[name])),
          scale: vector(Float32Array.of(scale)),
          offset: vector(Float32Array.of(offset)),
          kept: vector(Float32Array.of(kept)),
        })
        value = results.floats('value.next').slice()
        first = results.floats('first.next').slice()
        second = results.floats('second.next').slice()
        closeTo(value, flat(record(step['parameters'])[name]), 1e-6)
      }
    }
  })
})
