import { WEIGHT_TYPES } from '../../../../support/weightTypes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Checkpoint } from '../../../../../src/main/engine/checkpoint/Checkpoint'
import {
  CoordinateStore,
  type StoreShape,
} from '../../../../../src/main/engine/lesa/decomposition/CoordinateStore'
import {
  decompose,
  leadingDirections,
} from '../../../../../src/main/engine/lesa/decomposition/decompose'
import { StackedMatrix } from '../../../../../src/main/engine/lesa/StackedMatrix'
import { Runtime } from '../../../../../src/main/engine/onnx/Runtime'
import {
  layerRows,
  orthogonality,
  randomLayers,
  reconstructionError,
  sourceOf,
} from '../../../../support/decompositionChecks'
import { DEMO_MODEL, oracle } from '../../../../support/oracle'
import { seededFloats } from '../../../../support/random'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

const options = {
  energy: 1,
  createStore: (shape: StoreShape) => CoordinateStore.inMemory(shape),
  onProgress: () => undefined,
}

describe('the demo model against NumPy', () => {
  test.each(
    WEIGHT_TYPES.flatMap((type) => [
      [type, 'float32', 1e-5] as const,
      // What is kept of BF16 weights: a fiftieth of their own rounding, 2^-8 / √12.
      [type, 'int16', 5e-5] as const,
    ]),
  )('%s in %s: singular values, orthogonality, reconstruction', async (type, precision, most) => {
    const checkpoint = await Checkpoint.open(DEMO_MODEL)
    const source = new StackedMatrix(checkpoint, type)
    expect(source.precision).toBe('int16')
    const result = await decompose(runtime, source, {
      ...options,
      createStore: (shape) => CoordinateStore.inMemory({ ...shape, precision }),
    })
    const expected = oracle.singular_values[type]
    expect(result.rank).toBe(expected.length)
    expected.forEach((value, k) => {
      expect(Math.abs((result.singularValues?.[k] ?? 0) / value - 1)).toBeLessThan(1e-4)
    })
    expect(orthogonality(result)).toBeLessThanOrEqual(1e-5)
    for (const layer of [0, 5, 11]) {
      const weights = (await source.read(layer)).slice()
      expect(reconstructionError(result, layer, weights)).toBeLessThanOrEqual(most)
    }
    await checkpoint.close()
  })
})

describe('shapes and spectra', () => {
  test.each([
    ['one row', 1, 7],
    ['as many rows as the panel is wide', 32, 10],
    ['one row more than a panel', 33, 10],
    ['two panels and a bit', 67, 40],
    ['several blocks of the Gram matrix', 520, 40],
    ['more rows than all columns', 40, 5],
    ['more directions than a tile has rows', 1030, 260],
    ['a null space of more dimensions than a block of a cluster', 300, 20],
  ])('%s', async (_, rows, width) => {
    const layers = randomLayers(4, rows, width)
    const result = await decompose(runtime, sourceOf(layers, rows), options)
    expect(result.rank).toBe(Math.min(rows, 4 * width))
    expect(orthogonality(result)).toBeLessThan(1e-5)
    for (const [layer, weights] of layers.entries()) {
      expect(reconstructionError(result, layer, weights)).toBeLessThan(1e-5)
    }
  })

  test('layers of rank 3 have a basis of 3 directions', async () => {
    const rows = 50
    const width = 20
    const left = seededFloats(rows * 3, 1)
    const layers = [2, 3, 4].map((seed) => {
      const right = seededFloats(3 * width, seed)
      return Float32Array.from({ length: rows * width }, (_, at) => {
        const [i, j] = [Math.floor(at / width), at % width]
        return [0, 1, 2].reduce(
          (sum, k) => sum + (left[i * 3 + k] ?? 0) * (right[k * width + j] ?? 0),
          0,
        )
      })
    })
    const result = await decompose(runtime, sourceOf(layers, rows), options)
    expect(result.rank).toBe(3)
    expect(reconstructionError(result, 1, layers[1] ?? new Float32Array())).toBeLessThan(1e-5)
  })

  test('orthogonal layers, whose singular values are all equal', async () => {
    const n = 40
    const identity = Float32Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0))
    const result = await decompose(runtime, sourceOf([identity, identity, identity], n), options)
    expect(orthogonality(result)).toBeLessThan(1e-5)
    expect(reconstructionError(result, 0, identity)).toBeLessThan(1e-5)
  })

  test.each([1e-18, 1e12])('weights of scale %g', async (scale) => {
    const layers = randomLayers(3, 30, 20).map((layer) => layer.map((value) => value * scale))
    const result = await decompose(runtime, sourceOf(layers, 30), options)
    expect(reconstructionError(result, 1, layers[1] ?? new Float32Array())).toBeLessThan(1e-5)
  })

  test('weights of zero give finite coordinates', async () => {
    const zeros = [0, 1, 2].map(() => new Float32Array(12 * 8))
    const result = await decompose(runtime, sourceOf(zeros, 12), options)
    expect(layerRows(result.coordinates, 0).every((value) => value === 0)).toBe(true)
  })

  test('NaN in a weight is a numeric failure', async () => {
    const layers = randomLayers(3, 12, 8)
    const [first] = layers
    if (first) first[5] = NaN
    await expect(decompose(runtime, sourceOf(layers, 12), options)).rejects.toMatchObject({
      code: 'numeric_failure',
    })
  })

  test('signs and order are fixed: the largest entry of every direction is positive', async () => {
    const result = await decompose(runtime, sourceOf(randomLayers(3, 24, 16), 24), options)
    for (let k = 0; k < result.rank; k += 1) {
      const column = Array.from({ length: 24 }, (_, i) => result.basis?.[i * result.rank + k] ?? 0)
      const largest = column.reduce(
        (most, value) => (Math.abs(value) > Math.abs(most) ? value : most),
        0,
      )
      expect(largest).toBeGreaterThan(0)
    }
  })
})

describe('energy', () => {
  test('keeps the fewest leading directions that hold the share', () => {
    const squares = Float64Array.of(90, 9, 0.9, 0.1)
    expect(leadingDirections(squares, 1)).toBe(4)
    expect(leadingDirections(squares, 0.99)).toBe(2)
    expect(leadingDirections(squares, 0.9)).toBe(1)
    expect(leadingDirections(squares, 0.995)).toBe(3)
  })

  test('0.5 of the demo model keeps fewer directions, and at least that share of the squares', async () => {
    const checkpoint = await Checkpoint.open(DEMO_MODEL)
    const result = await decompose(runtime, new StackedMatrix(checkpoint, 'q_proj'), {
      ...options,
      energy: 0.5,
    })
    const all = oracle.singular_values.q_proj
    const share = (count: number): number =>
      all.slice(0, count).reduce((sum, value) => sum + value ** 2, 0) /
      all.reduce((sum, value) => sum + value ** 2, 0)
    expect(result.rank).toBeLessThan(all.length)
    expect(share(result.rank)).toBeGreaterThanOrEqual(0.5)
    expect(share(result.rank - 1)).toBeLessThan(0.5)
    await checkpoint.close()
  })
})
