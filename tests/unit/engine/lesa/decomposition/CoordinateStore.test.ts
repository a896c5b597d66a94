import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  CoordinateStore,
  PRECISIONS,
  type StoreShape,
} from '../../../../../src/main/engine/lesa/decomposition/CoordinateStore'
import {
  computeInto,
  outputStoredRows,
  RowEncoder,
} from '../../../../../src/main/engine/lesa/decomposition/rowEncoding'
import { Graph } from '../../../../../src/main/engine/onnx/graph'
import { Runtime } from '../../../../../src/main/engine/onnx/Runtime'
import { layerRows } from '../../../../support/decompositionChecks'
import { seededFloats } from '../../../../support/random'
import { tempFolder } from '../../../../support/tempFolder'

const shape = (precision: StoreShape['precision']): StoreShape => ({
  layerCount: 3,
  rank: 6,
  width: 5,
  precision,
})

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** Writes three layers of noise, the last row of each scaled up and its first one zero, in two parts. */
async function fill(store: CoordinateStore): Promise<Float32Array[]> {
  const encoder = await RowEncoder.create(runtime, store)
  const layers = [0, 1, 2].map((layer) =>
    seededFloats(30, layer + 1).map((value, at) => (at < 5 ? 0 : at >= 25 ? value * 1e6 : value)),
  )
  for (const [layer, rows] of layers.entries()) {
    await encoder.write(layer, 0, rows.subarray(0, 20))
    await encoder.write(layer, 4, rows.subarray(20))
  }
  await encoder.dispose()
  return layers
}

async function write(store: CoordinateStore, layer: number, first: number, rows: Float32Array) {
  const encoder = await RowEncoder.create(runtime, store)
  await encoder.write(layer, first, rows).finally(() => encoder.dispose())
}

describe.each(PRECISIONS)('%s', (precision) => {
  test('gives back what was written, each row to its own precision', async () => {
    const store = CoordinateStore.inMemory(shape(precision))
    for (const [layer, rows] of (await fill(store)).entries()) {
      const read = layerRows(store, layer)
      for (let row = 0; row < 6; row += 1) {
        const own = rows.subarray(row * 5, row * 5 + 5)
        const most = Math.max(...own.map(Math.abs))
        const allowed = precision === 'float32' ? 0 : (0.5001 * most) / 32_767
        own.forEach((value, at) => {
          expect(Math.abs((read[row * 5 + at] ?? NaN) - value)).toBeLessThanOrEqual(allowed)
        })
      }
    }
  })

  test('a file holds the same numbers as memory, and so does what is saved and opened again', async () => {
    const folder = await tempFolder()
    const inMemory = CoordinateStore.inMemory(shape(precision))
    const inFile = CoordinateStore.inFile(join(folder, 'direct'), shape(precision))
    const factors = Float32Array.of(1, 2, 0.5, 0, 3, 1e-6)
    for (const store of [inMemory, inFile]) {
      await fill(store)
      store.truncate(5)
      store.scaleRows(factors.subarray(0, 5))
    }
    await inMemory.save(join(folder, 'saved'))
    const opened = CoordinateStore.openFile(
      join(folder, 'saved'),
      shape(precision),
      inMemory.scales,
    )
    opened.truncate(5)
    for (const layer of [0, 1, 2]) {
      const expected = layerRows(inMemory, layer)
      expect(expected[7]).not.toBe(0)
      expect(layerRows(inFile, layer)).toEqual(expected)
      expect(layerRows(opened, layer)).toEqual(expected)
    }
    const again = opened.intoMemory()
    expect(again.whole).toEqual(inMemory.whole)
    expect(again.rank).toBe(5)
    expect(layerRows(again, 2)).toEqual(layerRows(inMemory, 2))
    inFile.close()
  })

  test('stored rows times their scales are the rows, also as float32', async () => {
    const store = CoordinateStore.inMemory(shape(precision))
    await fill(store)
    const stored = new Float32Array(30)
    store.copyStored(1, 0, 6, stored, 0)
    const scaled = stored.map((value, at) => value * (store.scales[6 + Math.floor(at / 5)] ?? NaN))
    expect(scaled).toEqual(layerRows(store, 1))
  })

  test('a file that ends early is an error that names it', async () => {
    const path = join(await tempFolder(), 'short')
    await writeFile(path, new Uint8Array(12))
    const store = CoordinateStore.openFile(path, shape(precision), new Float32Array(18).fill(1))
    expect(() => layerRows(store, 2)).toThrow(
      expect.objectContaining({ code: 'write_failed', context: { file: path } }),
    )
    store.close()
  })

  test('rows beyond a layer are refused', async () => {
    const store = CoordinateStore.inMemory(shape(precision))
    await expect(write(store, 0, 5, new Float32Array(10))).rejects.toThrow('no room')
  })

  test.each([NaN, Infinity, -Infinity])('%s is refused', async (value) => {
    const store = CoordinateStore.inMemory({ ...shape(precision), width: 3 })
    await expect(write(store, 0, 0, Float32Array.of(1, value, 2))).rejects.toMatchObject({
      code: 'numeric_failure',
    })
  })
})

describe('int16', () => {
  test('takes half the memory', () => {
    const bytes = (precision: StoreShape['precision']) =>
      CoordinateStore.inMemory(shape(precision)).whole?.byteLength
    expect(bytes('int16')).toBe((bytes('float32') ?? NaN) / 2)
  })

  test('the largest magnitude of a row, either sign, is exact', async () => {
    const store = CoordinateStore.inMemory({ layerCount: 1, rank: 2, width: 2, precision: 'int16' })
    await write(store, 0, 0, Float32Array.of(0.7, -0.1, 0.3, -0.9))
    expect(store.whole).toEqual(Int16Array.of(32_767, -4681, 10_922, -32_767))
  })

  test('a row of zeros is stored as zeros', async () => {
    const store = CoordinateStore.inMemory({ layerCount: 1, rank: 2, width: 2, precision: 'int16' })
    store.place(0, 0, 2).fill(7)
    await write(store, 0, 0, Float32Array.of(0, 0, 0.5, -0.25))
    expect(store.whole).toEqual(Int16Array.of(0, 0, 32_767, -16_384))
    expect([...store.scales].every((scale) => scale > 0)).toBe(true)
  })

  test('the sums of squares are those of the rows before they are rounded', async () => {
    const store = CoordinateStore.inMemory({ layerCount: 1, rank: 2, width: 2, precision: 'int16' })
    const g = new Graph()
    outputStoredRows(g, g.input('rows', ['r', 2]), 'int16')
    const kernel = await runtime.compile(g)
    const feeds = { rows: runtime.float32(Float32Array.of(3, 4, 0, 0), [2, 2]) }
    const place = { layer: 0, first: 0, count: 2 }
    const squares = await computeInto(runtime, store, place, (into) => kernel.run(feeds, into))
    expect(squares).toEqual(Float32Array.of(25, 0))
    await kernel.dispose()
  })
})
