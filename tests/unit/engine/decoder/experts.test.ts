import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Graph } from '../../../../src/main/engine/onnx/graph'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/** Runs an expression of a matrix. */
async function computed(
  build: (g: Graph, x: ReturnType<Graph['input']>) => ReturnType<Graph['input']>,
  rows: readonly (readonly number[])[],
): Promise<{ values: number[]; dims: readonly number[] }> {
  const g = new Graph()
  const width = rows[0]?.length ?? 0
  g.output('y', build(g, g.input('x', ['rows', width])))
  const kernel = await runtime.compile(g)
  const x = runtime.float32(Float32Array.from(rows.flat()), [rows.length, width])
  const result = (await kernel.run({ x })).one('y')
  await kernel.dispose()
  return {
    values: Array.from(result.data as ArrayLike<number | bigint>, Number),
    dims: result.dims,
  }
}

describe('the largest elements of a row', () => {
  it('stay in their places, the others are zero', async () => {
    const rows = [
      [0.1, 0.6, 0.3],
      [0.5, 0.2, 0.3],
    ]
    const { values } = await computed((g, x) => g.topOnly(x, 2), rows)
    expect(values.map((value) => Number(value.toFixed(3)))).toEqual([0, 0.6, 0.3, 0.5, 0, 0.3])
  })

  it('of equal ones the first stay', async () => {
    const { values } = await computed((g, x) => g.topOnly(x, 2), [[0.25, 0.25, 0.25, 0.25]])
    expect(values).toEqual([0.25, 0.25, 0, 0])
  })
})

describe('rows that are not zero', () => {
  it('are named in their order', async () => {
    const { values, dims } = await computed((g, x) => g.nonZeroRows(x, 'n'), [[0], [2], [0], [-1]])
    expect([values, dims]).toEqual([[1, 3], [2]])
  })

  it('may be none, and nothing is added then', async () => {
    const rows = [[0], [0], [0]]
    const { values, dims } = await computed((g, x) => {
      const found = g.nonZeroRows(x, 'n')
      const seen = g.linear(g.gather(x, found), g.constant([3, 4], [2, 1]))
      const base = g.scatterAdd(g.concat([x, x], 1), found, seen)
      return g.addRows(base, found, seen)
    }, rows)
    expect([values, dims]).toEqual([
      [0, 0, 0, 0, 0, 0],
      [3, 2],
    ])
  })

  it('are added to what is there', async () => {
    const { values } = await computed(
      (g, x) => g.addRows(x, g.nonZeroRows(x, 'n'), g.gather(x, g.nonZeroRows(x, 'm'))),
      [[1], [0], [5]],
    )
    expect(values).toEqual([2, 0, 10])
  })
})
