import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { Graph } from '../../../../src/main/engine/onnx/graph'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

describe('results in arrays of the caller', () => {
  /** sum + a·aᵀ, and the sum of a. */
  const graph = (): Graph => {
    const g = new Graph()
    const a = g.input('a', [2, 2])
    g.output('next', g.gemm(a, a, { transB: true, c: g.input('sum', [2, 2]) }))
    g.output('total', g.sum(a))
    return g
  }
  const a = Float32Array.of(1, 2, 3, 4)

  test('are written there, beside other results', async () => {
    const kernel = await runtime.compile(graph())
    const target = new Float32Array(4)
    const sum = runtime.float32(new Float32Array(4), [2, 2])
    const results = await kernel.run(
      { a: runtime.float32(a, [2, 2]), sum },
      { next: runtime.float32(target, [2, 2]) },
    )
    expect([...target]).toEqual([5, 11, 11, 25])
    expect([...results.floats('total')]).toEqual([10])
    await kernel.dispose()
  })

  test('may be what the product is added to, and a part of a longer array', async () => {
    const kernel = await runtime.compile(graph())
    const all = new Float32Array(6)
    const sum = runtime.float32(all.subarray(1, 5), [2, 2])
    for (let run = 0; run < 3; run += 1) {
      await kernel.run({ a: runtime.float32(a, [2, 2]), sum }, { next: sum })
    }
    expect([...all]).toEqual([0, 15, 33, 33, 75, 0])
    await kernel.dispose()
  })
})

test('numbers below the normal range are zero, so that they take no longer than others', async () => {
  const g = new Graph()
  g.output('y', g.mul(g.input('x', [3]), 0.5))
  const kernel = await runtime.compile(g)
  const x = runtime.float32(Float32Array.of(1.2e-38, 2.4e-38, 1), [3])
  const halves = (await kernel.run({ x })).floats('y')
  expect([...halves]).toEqual([0, Math.fround(1.2e-38), 0.5])
  await kernel.dispose()
})

test('sums of squares over everything, over rows, and of a single number', async () => {
  const g = new Graph()
  const x = g.input('x', [2, 2])
  g.output('all', g.sumSquares(x))
  g.output('rows', g.sumSquares(x, [1]))
  g.output('none', g.sumSquares(x, []))
  g.output('scalar', g.sumSquares(g.sum(x)))
  const kernel = await runtime.compile(g)
  const results = await kernel.run({ x: runtime.float32(Float32Array.of(1, -2, 3, -4), [2, 2]) })
  expect([...results.floats('all')]).toEqual([30])
  expect([...results.floats('rows')]).toEqual([5, 25])
  expect([...results.floats('none')]).toEqual([1, 4, 9, 16])
  expect([...results.floats('scalar')]).toEqual([4])
  await kernel.dispose()
})

test('numbers of 16 bits inside a graph round as their formats do', async () => {
  const g = new Graph()
  const x = g.input('x', [3])
  g.output('half', g.cast(g.cast(x, 'float16'), 'float32'))
  g.output('brain', g.cast(g.cast(x, 'bfloat16'), 'float32'))
  const kernel = await runtime.compile(g)
  // Steps of 2^-10 and 2^-7 between 1 and 2; 70,000 is beyond half precision.
  const x0 = Float32Array.of(1 + 2 ** -9, 1 + 2 ** -6 + 2 ** -9, 70_000)
  const results = await kernel.run({ x: runtime.float32(x0, [3]) })
  expect([...results.floats('half')]).toEqual([1 + 2 ** -9, 1 + 2 ** -6 + 2 ** -9, Infinity])
  expect([...results.floats('brain')]).toEqual([1, 1 + 2 ** -6, 70_144])
  await kernel.dispose()
})

test('a result that no memory could hold is no defect of the program', async () => {
  const g = new Graph()
  const size = 2 ** 23
  g.output('product', g.matmul(g.input('column', [size, 1]), g.input('row', [1, size])))
  const kernel = await runtime.compile(g)
  const values = new Float32Array(size)
  const feeds = {
    column: runtime.float32(values, [size, 1]),
    row: runtime.float32(values, [1, size]),
  }
  await expect(kernel.run(feeds)).rejects.toMatchObject({ code: 'not_enough_memory' })
  await kernel.dispose()
})

describe('LESA_THREADS', () => {
  afterEach(() => vi.unstubAllEnvs())

  test('gives what one thread for each core gives', async () => {
    const found: Float32Array[] = []
    for (const threads of ['1', '3', '']) {
      vi.stubEnv('LESA_THREADS', threads)
      const own = await Runtime.open('cpu')
      expect(own.threads).toBe(threads === '' ? null : Number(threads))
      const g = new Graph()
      const x = g.input('x', [64, 64])
      g.output('y', g.matmul(x, x))
      const kernel = await own.compile(g)
      const values = Float32Array.from({ length: 64 ** 2 }, (_, at) => (at % 7) - 3)
      found.push((await kernel.run({ x: own.float32(values, [64, 64]) })).floats('y'))
      await own.dispose()
    }
    expect(found[1]).toEqual(found[0])
    expect(found[2]).toEqual(found[0])
  })

  test.each(['0', '-1', '1.5', 'all', '1e9'])('is refused when it is %s', async (text) => {
    vi.stubEnv('LESA_THREADS', text)
    await expect(Runtime.open('cpu')).rejects.toMatchObject({
      code: 'bad_request',
      context: { expected: 'a whole number from 1 to 1024', actual: text },
    })
  })
})
