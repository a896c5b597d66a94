import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import {
  CoordinateStore,
  type StoreShape,
} from '../../../../src/main/engine/lesa/decomposition/CoordinateStore'
import { decompose } from '../../../../src/main/engine/lesa/decomposition/decompose'
import { deviceBytes } from '../../../../src/main/engine/lesa/memory'
import { Samples } from '../../../../src/main/engine/lesa/predictor/Samples'
import { trainPredictor } from '../../../../src/main/engine/lesa/predictor/train'
import { Reconstructor } from '../../../../src/main/engine/lesa/reconstruct'
import { Random } from '../../../../src/main/engine/lib/random'
import { Graph } from '../../../../src/main/engine/onnx/graph'
import { placementOf, stays, tileRows } from '../../../../src/main/engine/onnx/placement'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { WorkMatrix } from '../../../../src/main/engine/onnx/WorkMatrix'
import {
  orthogonality,
  randomLayers,
  reconstructionError,
  sourceOf,
} from '../../../support/decompositionChecks'

let host: Runtime
/** The CPU as a device that has a memory of its own but keeps nothing there: what CUDA is to the runtime. */
let copying: Runtime
beforeAll(async () => {
  host = await Runtime.open('cpu')
  copying = await Runtime.open('cpu', placementOf('cuda'))
})
afterAll(async () => {
  await host.dispose()
  await copying.dispose()
})

describe('what stays on a device', () => {
  test.each([
    ['cpu', 10, false],
    ['webgpu', 10, true],
    ['webgpu', 9, false],
    ['cuda', 10, false],
    ['dml', Infinity, false],
    ['coreml', Infinity, false],
  ] as const)('%s, ten bytes where %d may', (device, bound, expected) => {
    expect(stays(placementOf(device), 10, bound)).toBe(expected)
  })

  test('rows of a tile: few on the host, all elsewhere', () => {
    const rows = (device: 'cpu' | 'cuda', height: number) => tileRows(placementOf(device), height)
    expect([rows('cpu', 5000), rows('cpu', 7), rows('cuda', 5000)]).toEqual([1024, 7, 5000])
  })

  test('layers and samples count once only where they stay', () => {
    const shape = { rows: 1000, width: 2000, layerCount: 30, precision: 'int16' } as const
    const [keeping, passing] = (['webgpu', 'cuda'] as const).map((device) =>
      deviceBytes(placementOf(device), shape, 4e9),
    )
    const store = 30 * shape.rows * shape.width * 4
    expect(keeping).toBeGreaterThan(store)
    expect(passing).toBeLessThan(store / 2)
  })
})

describe('a device that keeps nothing computes what the host does', () => {
  const rows = 70
  const layers = randomLayers(5, rows, 24)
  const options = {
    energy: 1,
    keepsLayers: true,
    createStore: (shape: StoreShape) => CoordinateStore.inMemory(shape),
    onProgress: () => undefined,
  }

  test('decomposition and reconstruction', async () => {
    const [there, here] = [
      await decompose(copying, sourceOf(layers, rows), options),
      await decompose(host, sourceOf(layers, rows), options),
    ]
    here.singularValues?.forEach((value, k) => {
      expect(Math.abs((there.singularValues?.[k] ?? 0) / value - 1)).toBeLessThan(1e-4)
    })
    expect(orthogonality(there)).toBeLessThanOrEqual(1e-5)
    const reconstructor = await Reconstructor.create(copying, there)
    for (const [layer, weights] of layers.entries()) {
      expect(reconstructionError(there, layer, weights)).toBeLessThanOrEqual(1e-5)
      const coordinates = new Float32Array(there.rank * 24)
      there.coordinates.copyRows(layer, 0, there.rank, coordinates, 0)
      const again = await reconstructor.weights(coordinates)
      again.forEach((value, at) => expect(value).toBeCloseTo(weights[at] ?? NaN, 4))
    }
    await reconstructor.dispose()
  })

  test('training, whose runs bring their rows', async () => {
    const shape = { layerCount: 5, rank: rows, width: 24, precision: 'float32' } as const
    const store = CoordinateStore.inMemory(shape)
    layers.forEach((values, layer) => {
      const place = store.place(layer, 0, rows)
      place.set(values)
      store.write(layer, 0, place, new Float32Array(rows).fill(1))
    })
    const settings = { ...PRESET_SETTINGS.paper, length: { unit: 'steps', value: 30 } as const }
    const train = async (runtime: Runtime): Promise<Float32Array> => {
      const random = { initial: new Random(1, 'initial'), shuffle: new Random(1, 'shuffle') }
      const training = trainPredictor(runtime, new Samples(store), settings, random, 1e9)
      let next = await training.next()
      while (!next.done) next = await training.next()
      return next.value.weights['fc3.weight']
    }
    const [there, here] = [await train(copying), await train(host)]
    there.forEach((value, at) => expect(Math.abs(value - here[at]!)).toBeLessThan(1e-5))
  })
})

describe.each([
  ['the host', () => host],
  ['a device that keeps nothing', () => copying],
])('on %s', (_, runtimeOf) => {
  test('a matrix is worked on in its own array, from the row on that a step begins with', async () => {
    const runtime = runtimeOf()
    const values = new Float32Array(2500 * 2).fill(1)
    const work = new WorkMatrix(runtime, values, 2)
    const g = new Graph()
    g.output('out', g.mul(g.input('x', ['r', 2]), 3))
    const kernel = await runtime.compile(g)
    const first = work.firstRow(1200)
    expect(first).toBe(1200)
    expect(work.from(first).dims).toEqual([1300, 2])
    await work.update(first, 'out', ({ rows }, into) => kernel.run({ x: rows }, into))
    await work.finish()
    expect([values[2399], values[2400], values[4999]]).toEqual([1, 3, 3])
    await kernel.dispose()
  })

  test('what is left of a matrix, and results in the tensors given for them', async () => {
    const runtime = runtimeOf()
    const matrix = runtime.float32(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [3, 3])
    const rest = await runtime.trailing(matrix, 1)
    expect([rest.dims, [...(await runtime.read(rest))]]).toEqual([
      [2, 2],
      [5, 6, 8, 9],
    ])
    const g = new Graph()
    g.output('y', g.neg(g.input('x', [2, 2])))
    const kernel = await runtime.compile(g)
    const target = runtime.float32(new Float32Array(4), [2, 2])
    const results = await kernel.run({ x: rest }, { y: target })
    expect(results.one('y')).toBe(target)
    expect([...results.floats('y')]).toEqual([-5, -6, -8, -9])
    await kernel.dispose()
  })
})
