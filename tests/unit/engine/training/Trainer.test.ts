import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cosine, type Schedule } from '@shared/schedules'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeFloatTensors } from '../../../../src/main/engine/checkpoint/floatTensors'
import { readSafetensorsHeader } from '../../../../src/main/engine/checkpoint/safetensors'
import { bytesOf } from '../../../../src/main/engine/lib/matrix'
import { Graph } from '../../../../src/main/engine/onnx/graph'
import { Runtime, type Feeds } from '../../../../src/main/engine/onnx/Runtime'
import type { Parameter, ParameterValues } from '../../../../src/main/engine/training/parameters'
import {
  readTrainingState,
  writeTrainingState,
} from '../../../../src/main/engine/training/stateFile'
import { Trainer, type TrainingState } from '../../../../src/main/engine/training/Trainer'
import {
  outputTrainingSteps,
  productByBlocks,
} from '../../../../src/main/engine/training/trainingSteps'
import { seededFloats } from '../../../support/random'
import { tempFolder } from '../../../support/tempFolder'

const SETTINGS = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 }
const [INPUTS, HIDDEN, OUTPUTS, BATCH] = [640, 600, 700, 3]
type Name = 'in' | 'out' | 'bias'

/** y = out·relu(in·x) + bias; two of them so large that the CPU trains them in several blocks. */
const PARAMETERS: readonly Parameter<Name>[] = [
  { name: 'in', dims: [HIDDEN, INPUTS], isTransposed: true, parts: 2 },
  { name: 'out', dims: [OUTPUTS, HIDDEN], parts: 1 },
  { name: 'bias', dims: [OUTPUTS] },
]
const START: ParameterValues<Name> = {
  in: seededFloats(HIDDEN * INPUTS, 1, [-0.05, 0.05]),
  out: seededFloats(OUTPUTS * HIDDEN, 2, [-0.05, 0.05]),
  bias: new Float32Array(OUTPUTS),
}
const BEGIN: TrainingState<Name> = { step: 0, value: START, moments: null }

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** Learns to give `y` for rows of the table `x` that each step picks by `at`. */
function start(
  state: TrainingState<Name>,
  options: { schedule?: Schedule; maxNorm?: number } = {},
): Promise<Trainer<Name>> {
  const { maxNorm, ...others } = options
  return Trainer.start(runtime, {
    parameters: PARAMETERS,
    state,
    settings: SETTINGS,
    ...others,
    graph: (groups) => {
      const g = new Graph()
      const [x, y] = [g.input('x', [8, INPUTS]), g.input('y', [8, OUTPUTS])]
      const table = g.input('at', ['steps', BATCH], 'int32')
      outputTrainingSteps(g, {
        groups,
        settings: SETTINGS,
        ...(maxNorm === undefined ? {} : { maxNorm }),
        loss: (b, iteration, { whole, blocks }) => {
          const at = b.gather(table, iteration)
          const own = b.gather(x, at)
          const sides = [0, 1].map((part) => {
            const first = (part * INPUTS) / 2
            return productByBlocks(b, blocks('in', part), (from, to) =>
              b.slice(own, 1, first + from, first + to),
            )
          })
          const hidden = b.relu(b.add(sides[0]!, sides[1]!))
          const parts = blocks('out').map(({ value }) => b.linear(hidden, value))
          const off = b.sub(b.add(b.concat(parts, 1), whole('bias')), b.gather(y, at))
          return b.mean(b.square(off))
        },
      })
      return g
    },
  })
}

/** Inputs of steps `first … first + count − 1`, each of which picks rows of its own. */
const feeds = (first: number, count: number) => (): Feeds => ({
  x: runtime.float32(seededFloats(8 * INPUTS, 5), [8, INPUTS]),
  y: runtime.float32(seededFloats(8 * OUTPUTS, 6), [8, OUTPUTS]),
  at: runtime.int32(
    Int32Array.from({ length: count * BATCH }, (_, k) => ((first * BATCH + k) * 3) % 8),
    [count, BATCH],
  ),
})

/** Compares bytes: an assertion for each of a million numbers would take minutes. */
function expectSame(actual: ParameterValues<Name>, expected: ParameterValues<Name>): void {
  for (const { name } of PARAMETERS) {
    expect(Buffer.compare(bytesOf(actual[name]), bytesOf(expected[name])), name).toBe(0)
  }
}
function expectSameState(actual: TrainingState<Name>, expected: TrainingState<Name>): void {
  expect(actual.step).toBe(expected.step)
  expectSame(actual.value, expected.value)
  expect(actual.moments === null).toBe(expected.moments === null)
  for (const part of ['first', 'second'] as const) {
    if (actual.moments && expected.moments) expectSame(actual.moments[part], expected.moments[part])
  }
}
const largest = (values: Float32Array): number =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)

describe('a trainer', () => {
  test('goes on from a file exactly as without a break, schedule and all', async () => {
    const schedule = cosine(10, 0.1)
    const straight = await start(BEGIN, { schedule })
    const losses = [...(await straight.advance(10, feeds(0, 10)))]
    expect(losses[9]).toBeLessThan(losses[0]!)

    const first = await start(BEGIN, { schedule })
    const early = [...(await first.advance(5, feeds(0, 5)))]
    const file = join(await tempFolder(), 'state.safetensors')
    await writeTrainingState(file, PARAMETERS, await first.state())
    await first.dispose()

    const again = await readTrainingState(file, PARAMETERS)
    expect(again.step).toBe(5)
    const second = await start(again, { schedule })
    const late = [...(await second.advance(5, feeds(5, 5)))]
    expect([...early, ...late]).toEqual(losses)
    expectSameState(await second.state(), await straight.state())
    await straight.dispose()
    await second.dispose()
  })

  test('moves by the schedule: nothing where it is zero', async () => {
    const trainer = await start(BEGIN, { schedule: (step) => (step <= 2 ? 0 : 1) })
    await trainer.advance(2, feeds(0, 2))
    const values = await trainer.values()
    expect(largest(values.bias)).toBeLessThan(1e-25)
    expectSame({ ...values, bias: START.bias }, START)
    await trainer.advance(1, feeds(2, 1))
    expect(largest((await trainer.values()).bias)).toBeGreaterThan(SETTINGS.learningRate / 2)
    await trainer.dispose()
  })

  test('scales gradients down to a norm, and leaves shorter ones as they are', async () => {
    const gradientsOf = async (maxNorm?: number): Promise<ParameterValues<Name>> => {
      const trainer = await start(BEGIN, maxNorm === undefined ? {} : { maxNorm })
      await trainer.advance(1, feeds(0, 1))
      const { moments } = await trainer.state()
      await trainer.dispose()
      // After one step the scaled first moment is the gradient.
      return moments!.first
    }
    const free = await gradientsOf()
    const norm = Math.hypot(...PARAMETERS.map(({ name }) => Math.sqrt(dot(free[name], free[name]))))
    expectSame(await gradientsOf(10 * norm), free)
    const clipped = await gradientsOf(norm / 4)
    for (const { name } of PARAMETERS) {
      expect(largest(clipped[name].map((value, at) => value - free[name][at]! / 4))).toBeLessThan(
        1e-6 * largest(free[name]),
      )
    }
  })
})

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value * b[at]!, 0)
}

describe('the file of a state', () => {
  test('holds parameters and moments in their own layout', async () => {
    const trainer = await start(BEGIN)
    await trainer.advance(1, feeds(0, 1))
    const file = join(await tempFolder(), 'state.safetensors')
    await writeTrainingState(file, PARAMETERS, await trainer.state())
    await trainer.dispose()
    const { tensors, metadata } = await readSafetensorsHeader(file)
    expect(metadata).toMatchObject({ format: 'pt', step: '1' })
    expect([...tensors.values()].map(({ name, shape }) => `${name} ${shape.join('×')}`)).toEqual([
      'in 600×640',
      'out 700×600',
      'bias 700',
      'in.first 600×640',
      'out.first 700×600',
      'bias.first 700',
      'in.second 600×640',
      'out.second 700×600',
      'bias.second 700',
    ])
  })

  test('before the first step is the parameters alone', async () => {
    const file = join(await tempFolder(), 'state.safetensors')
    await writeTrainingState(file, PARAMETERS, BEGIN)
    expectSameState(await readTrainingState(file, PARAMETERS), BEGIN)
  })

  test('of which a bit has changed is refused', async () => {
    const file = join(await tempFolder(), 'state.safetensors')
    await writeTrainingState(file, PARAMETERS, BEGIN)
    const bytes = await readFile(file)
    bytes[bytes.length - 1]! ^= 1
    await writeFile(file, bytes)
    await expect(readTrainingState(file, PARAMETERS)).rejects.toMatchObject({
      code: 'damaged_file',
    })
  })

  test('of other parameters, or no state at all, is refused', async () => {
    const file = join(await tempFolder(), 'state.safetensors')
    await writeTrainingState(file, PARAMETERS, BEGIN)
    const wider = PARAMETERS.map((each) => (each.name === 'bias' ? { ...each, dims: [701] } : each))
    await expect(readTrainingState(file, wider)).rejects.toMatchObject({
      code: 'bad_checkpoint',
      context: { tensor: 'bias', expected: '[701]', actual: '[700]' },
    })
    const more = [...PARAMETERS, { name: 'extra', dims: [1] } as const]
    await expect(readTrainingState(file, more)).rejects.toMatchObject({
      context: { tensor: 'extra', actual: 'nothing' },
    })
    await writeFloatTensors(file, [{ name: 'bias', shape: [1], values: Float32Array.of(1) }])
    await expect(readTrainingState(file, PARAMETERS)).rejects.toMatchObject({
      context: { field: 'step' },
    })
    const bytes = await readFile(file)
    await writeFile(file, bytes.subarray(0, bytes.length - 1))
    await expect(readTrainingState(file, PARAMETERS)).rejects.toMatchObject({
      code: 'bad_checkpoint',
    })
  })
})
