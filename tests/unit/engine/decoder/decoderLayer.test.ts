import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ARCHITECTURES } from '../../../../src/main/engine/architectures'
import type { Architecture } from '../../../../src/main/engine/architectures/Architecture'
import { parseConfig, type ModelConfig } from '../../../../src/main/engine/architectures/config'
import {
  attentionMask,
  buildDecoderLayer,
  decoderLayer,
  LAYER_IO,
  layerInputs,
  maskWidth,
  QUERY_CHUNK,
  queryChunk,
  type LayerShape,
} from '../../../../src/main/engine/decoder/decoderLayer'
import { ropeTables } from '../../../../src/main/engine/decoder/rope'
import { encodeFromFloat32 } from '../../../../src/main/engine/checkpoint/dtypes'
import { gradients, vjp } from '../../../../src/main/engine/onnx/gradients'
import { Graph } from '../../../../src/main/engine/onnx/graph'
import { Runtime, type Tensor } from '../../../../src/main/engine/onnx/Runtime'
import { seededFloats } from '../../../support/random'

interface Model {
  readonly architecture: Architecture
  readonly config: ModelConfig
}

function model(modelType: string, changes: Record<string, unknown> = {}): Model {
  const architecture = ARCHITECTURES.find((each) => each.modelType === modelType)
  if (!architecture) throw new Error(`no ${modelType}`)
  const raw = {
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 4,
    vocab_size: 4,
    ...changes,
  }
  return { architecture, config: parseConfig(raw, architecture.configRules, 'config.json') }
}

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

function constants({ config }: Model, shape: LayerShape): Record<string, Tensor> {
  const { cos, sin } = ropeTables(config, shape.length)
  const dims = [shape.length, config.headDim / 2]
  return {
    [LAYER_IO.cos]: runtime.float32(cos, dims),
    [LAYER_IO.sin]: runtime.float32(sin, dims),
    [LAYER_IO.mask]: runtime.float32(attentionMask(shape), [
      queryChunk(shape.length),
      maskWidth(shape),
    ]),
  }
}

/** Inputs of a layer that are differentiated, with random values: the hidden states and every tensor. */
function randomInputs({ architecture, config }: Model, batch: number, length: number) {
  const size = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1)
  const inputs = [
    { name: LAYER_IO.input as string, dims: [batch, length, config.hiddenSize] },
    ...layerInputs(architecture, config, 0).map(({ name, shape }) => ({ name, dims: [...shape] })),
  ]
  return inputs.map(({ name, dims }, index) => ({
    name,
    dims,
    values: seededFloats(size(dims), 100 + index),
  }))
}

describe('the gradient of a whole layer agrees with finite differences', () => {
  // The second has two chunks of queries, the last one short, and keys that drop out of the window.
  test.each([
    ['one chunk', { length: 6, window: null }, 2],
    ['chunks and a window', { length: QUERY_CHUNK + 20, window: 40 }, 1],
  ] as const)('%s', async (_, shape, batch) => {
    const qwen3 = model('qwen3', { attention_bias: true })
    const { config, architecture } = qwen3
    const inputs = randomInputs(qwen3, batch, shape.length)
    const g = new Graph()
    const values = new Map(inputs.map(({ name, dims }) => [name, g.input(name, dims)]))
    const input = (name: string) => {
      const value = values.get(name)
      if (!value) throw new Error(`no ${name}`)
      return value
    }
    const half = config.headDim / 2
    const y = decoderLayer(g, config, architecture, shape, {
      hidden: input(LAYER_IO.input),
      weights: values,
      cos: g.input(LAYER_IO.cos, [shape.length, half]),
      sin: g.input(LAYER_IO.sin, [shape.length, half]),
      mask: g.input(LAYER_IO.mask, [queryChunk(shape.length), maskWidth(shape)]),
    })
    const size = batch * shape.length * config.hiddenSize
    const weight = g.constant(seededFloats(size, 7), [batch, shape.length, config.hiddenSize])
    const loss = g.mean(g.mul(y, weight))
    g.output('loss', loss)
    gradients(g, loss, [...values.values()]).forEach((gradient, index) => {
      expect(gradient.shape.length).toBe(inputs[index]?.dims.length)
      g.output(`d${index}`, gradient)
    })
    const kernel = await runtime.compile(g)
    const fixed = constants(qwen3, shape)
    const run = (arrays: readonly Float32Array[]) => {
      const feeds: Record<string, Tensor> = { ...fixed }
      inputs.forEach(({ name, dims }, index) => {
        feeds[name] = runtime.float32(arrays[index] ?? new Float32Array(0), dims)
      })
      return kernel.run(feeds)
    }
    const start = inputs.map((each) => each.values)
    const exact = await run(start)
    for (const [index, { values: at }] of inputs.entries()) {
      // Along a random direction, so that every entry of the gradient counts.
      const direction = seededFloats(at.length, 500 + index)
      const slope = exact
        .floats(`d${index}`)
        .reduce((sum, value, k) => sum + value * (direction[k] ?? 0), 0)
      const moved = async (by: number): Promise<number> => {
        const there = at.map((value, k) => value + by * (direction[k] ?? 0))
        const result = await run(start.map((each, other) => (other === index ? there : each)))
        return result.floats('loss')[0] ?? NaN
      }
      const step = 4e-3
      const difference = ((await moved(step)) - (await moved(-step))) / (2 * step)
      // 1e-5: what rounding leaves of a float32 difference over this step.
      expect(Math.abs(slope - difference), inputs[index]?.name).toBeLessThan(
        1e-5 + 1e-2 * Math.abs(difference),
      )
    }
  })
})

describe('the vector–Jacobian product of a whole layer', () => {
  test('with weights in half precision and an open batch agrees with finite differences', async () => {
    const qwen3 = model('qwen3', { attention_bias: true })
    const { config, architecture } = qwen3
    const [batch, length] = [2, 6]
    const shape = { length, window: null }
    const inputs = randomInputs(qwen3, batch, length)
    const g = new Graph()
    const half = config.headDim / 2
    const hidden = g.input(LAYER_IO.input, ['batch', length, config.hiddenSize])
    const stored = new Map(
      inputs.slice(1).map(({ name, dims }) => [name, g.input(name, dims, 'float16')]),
    )
    const weights = new Map([...stored].map(([name, value]) => [name, g.cast(value, 'float32')]))
    const y = decoderLayer(g, config, architecture, shape, {
      hidden,
      weights,
      cos: g.input(LAYER_IO.cos, [length, half]),
      sin: g.input(LAYER_IO.sin, [length, half]),
      mask: g.input(LAYER_IO.mask, [length, maskWidth(shape)]),
    })
    const dy = g.input('dy', ['batch', length, config.hiddenSize])
    g.output('y', y)
    vjp(g, [y], [dy], [hidden, ...weights.values()]).forEach((d, k) => g.output(`d${k}`, d))
    // As far as the weights as they are stored, for one of them.
    const q = stored.get('q_proj.weight')
    if (!q) throw new Error('no queries')
    g.output('rounded', g.cast(vjp(g, [y], [dy], [q])[0]!, 'float32'))
    const kernel = await runtime.compile(g)

    const bits = (values: Float32Array): Uint16Array => {
      const { buffer, byteOffset } = encodeFromFloat32(values, 'F16')
      return new Uint16Array(buffer, byteOffset, values.length)
    }
    const size = batch * length * config.hiddenSize
    const cotangent = seededFloats(size, 7)
    const fixed = {
      ...constants(qwen3, shape),
      dy: runtime.float32(cotangent, [batch, length, config.hiddenSize]),
    }
    const run = (arrays: readonly Float32Array[]) => {
      const feeds: Record<string, Tensor> = { ...fixed }
      inputs.forEach(({ name, dims }, index) => {
        const values = arrays[index] ?? new Float32Array(0)
        feeds[name] =
          index === 0 ? runtime.float32(values, dims) : runtime.float16(bits(values), dims)
      })
      return kernel.run(feeds)
    }
    // Whole 256ths: exact in half precision, as are steps of one of them up or down.
    const whole = (values: Float32Array): Float32Array =>
      values.map((value) => Math.round(value * 256) / 256)
    const start = inputs.map(({ values }) => whole(values))
    const exact = await run(start)
    expect(exact.floats('y').length).toBe(size)
    for (const [index, at] of start.entries()) {
      const direction = seededFloats(at.length, 500 + index).map((value) => Math.sign(value) / 256)
      const slope = dot(exact.floats(`d${index}`), direction)
      const moved = async (by: number): Promise<number> => {
        const there = at.map((value, k) => value + by * direction[k]!)
        const result = await run(start.map((each, other) => (other === index ? there : each)))
        return dot(result.floats('y'), cotangent)
      }
      const difference = ((await moved(1)) - (await moved(-1))) / 2
      expect(Math.abs(slope - difference), inputs[index]?.name).toBeLessThan(
        1e-5 + 1e-2 * Math.abs(difference),
      )
    }
    const at = inputs.findIndex(({ name }) => name === q.name)
    const whole32 = exact.floats(`d${at}`)
    exact.floats('rounded').forEach((value, k) => {
      expect(Math.abs(value - whole32[k]!)).toBeLessThan(2e-3 * Math.abs(whole32[k]!) + 1e-6)
    })
  })
})

describe('a sequence does not depend on what it is computed with', () => {
  const llama = model('llama')

  async function runLayer(
    batch: number,
    length: number,
    hidden: Float32Array,
    window: number | null,
  ) {
    const shape = { length, window }
    const kernel = await runtime.compile(buildDecoderLayer(llama.config, llama.architecture, shape))
    const feeds: Record<string, Tensor> = constants(llama, shape)
    for (const { name, dims, values } of randomInputs(llama, batch, length).slice(1)) {
      feeds[name] = runtime.float32(values, dims)
    }
    feeds[LAYER_IO.input] = runtime.float32(hidden, [batch, length, llama.config.hiddenSize])
    return (await kernel.run(feeds)).floats(LAYER_IO.output)
  }

  test('neither on others in the batch nor on padding after it', async () => {
    const [length, size] = [5, llama.config.hiddenSize]
    const alone = seededFloats(length * size, 3)
    const reference = await runLayer(1, length, alone, null)
    const padded = new Float32Array(2 * (length + 3) * size)
    padded.set(seededFloats((length + 3) * size, 4))
    padded.set(alone, (length + 3) * size)
    const together = await runLayer(2, length + 3, padded, null)
    const start = (length + 3) * size
    const second = together.subarray(start, start + reference.length)
    expect(maxDifference(second, reference)).toBeLessThan(1e-6)
  })

  test('chunks of queries see the keys that the mask names, and no others', async () => {
    const size = llama.config.hiddenSize
    const length = 2 * QUERY_CHUNK + 10
    const window = 30
    const hidden = seededFloats(length * size, 5)
    const all = await runLayer(1, length, hidden, window)
    // Only what lies within the window of the last token may move it: positions from `length − window`.
    for (const [position, moves] of [
      [length - window - 1, false],
      [length - window, true],
    ] as const) {
      const changed = hidden.slice()
      changed[position * size] = (changed[position * size] ?? 0) + 1
      const result = await runLayer(1, length, changed, window)
      const last = (values: Float32Array) => values.subarray((length - 1) * size)
      expect(maxDifference(last(result), last(all)) > 1e-6).toBe(moves)
    }
  })
})

test('an activation that is not known is refused by name', () => {
  const { config, architecture } = model('llama', { hidden_act: 'mish' })
  expect(() => buildDecoderLayer(config, architecture, { length: 4, window: null })).toThrow(
    expect.objectContaining({
      code: 'unsupported_architecture',
      context: expect.objectContaining({ actual: 'mish' }) as unknown,
    }),
  )
})

function maxDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((max, value, index) => Math.max(max, Math.abs(value - (b[index] ?? NaN))), 0)
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, k) => sum + value * b[k]!, 0)
}
