import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  GRADIENT_RULES,
  gradients,
  vjp,
  type DifferentiableOperator,
} from '../../../../src/main/engine/onnx/gradients'
import { Graph, type Value } from '../../../../src/main/engine/onnx/graph'
import { Runtime, type Tensor } from '../../../../src/main/engine/onnx/Runtime'
import { seededFloats } from '../../../support/random'

interface Case {
  /** Shapes of the float inputs that are differentiated. */
  readonly shapes: readonly (readonly number[])[]
  readonly build: (g: Graph, inputs: readonly Value[]) => Value
  /** Values are drawn from here; away from kinks and poles. */
  readonly range?: readonly [number, number]
  /** Of the difference quotient. */
  readonly step?: number
}

const at = (values: readonly Value[], index: number): Value => {
  const value = values[index]
  if (!value) throw new Error(`no input ${index}`)
  return value
}
const unary =
  (
    op:
      | 'neg'
      | 'sqrt'
      | 'exp'
      | 'log'
      | 'sin'
      | 'cos'
      | 'relu'
      | 'sigmoid'
      | 'tanh'
      | 'erf'
      | 'identity',
  ) =>
  (g: Graph, v: readonly Value[]): Value =>
    g[op](at(v, 0))
const binary =
  (op: 'add' | 'sub' | 'mul' | 'div' | 'max') =>
  (g: Graph, v: readonly Value[]): Value =>
    g[op](at(v, 0), at(v, 1))

/** At least one case for each rule; broadcasting and every flag have their own. */
const CASES: { readonly [K in DifferentiableOperator]: readonly Case[] } = {
  Add: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      build: binary('add'),
    },
    { shapes: [[2, 3], [3]], build: binary('add') },
    {
      shapes: [
        [2, 1, 3],
        [4, 1],
      ],
      build: binary('add'),
    },
    { shapes: [[3], []], build: binary('add') },
  ],
  Sub: [
    {
      shapes: [
        [2, 3],
        [1, 3],
      ],
      build: binary('sub'),
    },
  ],
  Mul: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: binary('mul'),
    },
    { shapes: [[2, 3]], build: (g, v) => g.square(at(v, 0)) },
  ],
  Div: [{ shapes: [[2, 3], [3]], build: binary('div'), range: [0.5, 2] }],
  Max: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      build: binary('max'),
    },
  ],
  Neg: [{ shapes: [[4]], build: unary('neg') }],
  Sqrt: [{ shapes: [[4]], build: unary('sqrt'), range: [0.5, 2] }],
  Exp: [{ shapes: [[4]], build: unary('exp') }],
  Log: [{ shapes: [[4]], build: unary('log'), range: [0.5, 2] }],
  Sin: [{ shapes: [[4]], build: unary('sin') }],
  Cos: [{ shapes: [[4]], build: unary('cos') }],
  Relu: [{ shapes: [[3, 5]], build: unary('relu') }],
  Sigmoid: [{ shapes: [[4]], build: unary('sigmoid') }],
  Tanh: [{ shapes: [[4]], build: unary('tanh') }],
  Erf: [{ shapes: [[4]], build: unary('erf') }],
  Identity: [{ shapes: [[4]], build: unary('identity') }],
  // Half precision rounds by up to 2^-11 of a value; a difference quotient over 2/4 sees a thousandth of that.
  Cast: [
    {
      shapes: [[2, 3], [3]],
      build: (g, v) =>
        g.cast(g.mul(g.cast(at(v, 0), 'float16'), g.cast(at(v, 1), 'float16')), 'float32'),
      step: 0.25,
    },
    {
      shapes: [[4]],
      build: (g, v) => g.add(g.cast(g.cast(at(v, 0), 'int32'), 'float32'), at(v, 0)),
      range: [0.2, 0.8],
    },
  ],
  MatMul: [
    {
      shapes: [
        [2, 3],
        [3, 4],
      ],
      build: (g, v) => g.matmul(at(v, 0), at(v, 1)),
    },
    {
      shapes: [
        [2, 2, 3],
        [2, 3, 4],
      ],
      build: (g, v) => g.matmul(at(v, 0), at(v, 1)),
    },
    {
      shapes: [
        [2, 2, 3],
        [3, 4],
      ],
      build: (g, v) => g.matmul(at(v, 0), at(v, 1)),
    },
    {
      shapes: [
        [2, 3],
        [2, 3, 4],
      ],
      build: (g, v) => g.matmul(at(v, 0), at(v, 1)),
    },
  ],
  Gemm: [
    {
      shapes: [
        [2, 3],
        [3, 4],
      ],
      build: (g, v) => g.gemm(at(v, 0), at(v, 1), { alpha: 0.5 }),
    },
    {
      shapes: [
        [3, 2],
        [3, 4],
      ],
      build: (g, v) => g.gemm(at(v, 0), at(v, 1), { transA: true }),
    },
    {
      shapes: [
        [2, 3],
        [4, 3],
      ],
      build: (g, v) => g.gemm(at(v, 0), at(v, 1), { transB: true }),
    },
    {
      shapes: [[3, 2], [4, 3], [4]],
      build: (g, v) =>
        g.gemm(at(v, 0), at(v, 1), {
          transA: true,
          transB: true,
          alpha: 2,
          beta: 0.5,
          c: at(v, 2),
        }),
    },
    { shapes: [[2, 3], [4, 3], [4]], build: (g, v) => g.linear(at(v, 0), at(v, 1), at(v, 2)) },
  ],
  Transpose: [{ shapes: [[2, 3, 4]], build: (g, v) => g.transpose(at(v, 0), [2, 0, 1]) }],
  Reshape: [{ shapes: [[2, 6]], build: (g, v) => g.reshape(at(v, 0), [3, 4]) }],
  ExpandLike: [
    {
      shapes: [[1, 3]],
      build: (g, v) => g.expandLike(at(v, 0), g.constant(new Float32Array(6), [2, 3])),
    },
  ],
  Concat: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: (g, v) => g.concat(v, 1),
    },
  ],
  Slice: [{ shapes: [[5, 2]], build: (g, v) => g.slice(at(v, 0), 0, 1, 4) }],
  Pad: [{ shapes: [[2, 3]], build: (g, v) => g.pad(at(v, 0), 1, 2, 1) }],
  Gather: [{ shapes: [[4, 2]], build: (g, v) => g.gather(at(v, 0), g.integers([3, 0, 3])) }],
  ScatterAdd: [
    {
      shapes: [[3, 2]],
      build: (g, v) =>
        g.scatterAdd(g.constant(Array(8).fill(0), [4, 2]), g.integers([3, 0, 3]), at(v, 0)),
    },
  ],
  AddRows: [
    {
      shapes: [
        [4, 2],
        [2, 2],
      ],
      build: (g, v) => g.addRows(at(v, 0), g.integers([3, 1]), at(v, 1)),
    },
  ],
  TopOnly: [{ shapes: [[3, 5]], build: (g, v) => g.topOnly(at(v, 0), 2) }],
  GatherLast: [
    {
      shapes: [[2, 4]],
      build: (g, v) => g.gatherLast(at(v, 0), g.unsqueeze(g.integers([3, 1]), [1])),
    },
  ],
  ReduceSum: [
    { shapes: [[2, 3]], build: (g, v) => g.sum(at(v, 0), [0]) },
    { shapes: [[2, 3]], build: (g, v) => g.sum(at(v, 0), [1], true) },
    { shapes: [[2, 3]], build: (g, v) => g.sum(at(v, 0)) },
  ],
  ReduceMean: [
    { shapes: [[2, 3, 2]], build: (g, v) => g.mean(at(v, 0), [0, 2]) },
    { shapes: [[2, 3]], build: (g, v) => g.mean(at(v, 0), [-1], true) },
  ],
  ReduceSumSquare: [
    { shapes: [[2, 3]], build: (g, v) => g.sumSquares(at(v, 0)) },
    { shapes: [[2, 3]], build: (g, v) => g.sumSquares(at(v, 0), [1]) },
  ],
  ReduceMin: [{ shapes: [[2, 5]], build: (g, v) => g.reduceMin(at(v, 0), [1], true) }],
  ReduceMax: [{ shapes: [[2, 5]], build: (g, v) => g.reduceMax(at(v, 0), [1]) }],
  Softmax: [{ shapes: [[2, 4]], build: (g, v) => g.softmax(at(v, 0)) }],
  Where: [
    {
      shapes: [[2, 3], [3]],
      build: (g, v) => g.where(g.greater(g.constant([1, -1, 1], [3]), 0), at(v, 0), at(v, 1)),
    },
  ],
  Unsqueeze: [{ shapes: [[2, 3]], build: (g, v) => g.unsqueeze(at(v, 0), [0, 2]) }],
  Squeeze: [{ shapes: [[2, 1, 3]], build: (g, v) => g.squeeze(at(v, 0), [1]) }],
}

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

/**
 * Compares every partial derivative of Σ weight·y (weights random, so that no entry can hide) with the symmetric
 * difference quotient.
 */
async function check({ shapes, build, range = [-1, 1], step = 1e-2 }: Case): Promise<number> {
  const g = new Graph()
  const inputs = shapes.map((shape, index) => g.input(`x${index}`, shape))
  const y = build(g, inputs)
  const weightShape = y.shape.map(Number)
  const size = weightShape.reduce((product, dim) => product * dim, 1)
  const loss = g.sum(g.mul(y, g.constant(seededFloats(size, 7, [0.5, 1.5]), weightShape)))
  g.output('loss', loss)
  gradients(g, loss, inputs).forEach((gradient, index) => {
    expect(gradient.shape).toEqual(shapes[index])
    g.output(`d${index}`, gradient)
  })
  const kernel = await runtime.compile(g)
  const values = shapes.map((shape, index) =>
    seededFloats(
      shape.reduce((product, dim) => product * dim, 1),
      index + 1,
      range,
    ),
  )
  const run = (arrays: readonly Float32Array[]) => {
    const feeds: Record<string, Tensor> = {}
    arrays.forEach((array, index) => {
      feeds[`x${index}`] = runtime.float32(array, shapes[index] ?? [])
    })
    return kernel.run(feeds)
  }
  const exact = await run(values)
  let compared = 0
  for (const [index, array] of values.entries()) {
    const gradient = exact.floats(`d${index}`)
    for (let k = 0; k < array.length; k += 1) {
      const moved = async (by: number): Promise<number> => {
        const copy = values.map((other) => other.slice())
        const target = copy[index]
        if (target) target[k] = (target[k] ?? 0) + by
        return (await run(copy)).floats('loss')[0] ?? NaN
      }
      const difference = ((await moved(step)) - (await moved(-step))) / (2 * step)
      expect(gradient[k]).toBeCloseTo(difference, 2)
      compared += 1
    }
  }
  await kernel.dispose()
  return compared
}

describe('every gradient rule agrees with finite differences', () => {
  for (const op of Object.keys(GRADIENT_RULES) as DifferentiableOperator[]) {
    CASES[op].forEach((testCase, index) => {
      test(`${op} ${index + 1}: ${testCase.shapes.map((shape) => `[${shape.join()}]`).join(' ')}`, async () => {
        expect(await check(testCase)).toBeGreaterThan(0)
      })
    })
    test(`${op} has a case`, () => expect(CASES[op].length).toBeGreaterThan(0))
  }
})

describe('gradients that are the same along an axis', () => {
  test.each<[string, Case]>([
    [
      'a sum of a broadcast sum',
      { shapes: [[2, 3], [3]], build: (g, v) => g.sum(binary('add')(g, v)) },
    ],
    [
      'a sum of a broadcast product',
      {
        shapes: [
          [2, 3],
          [2, 1],
        ],
        build: (g, v) => g.sum(binary('mul')(g, v)),
      },
    ],
    [
      'a sum over one axis of a scalar repeated',
      { shapes: [[], [2, 3]], build: (g, v) => g.sum(binary('mul')(g, v), [0]) },
    ],
    ['a norm', { shapes: [[1, 3]], build: (g, v) => g.sqrt(g.sum(g.square(at(v, 0)))) }],
    [
      'a mean of a product of matrices',
      {
        shapes: [
          [2, 3],
          [3, 2],
        ],
        build: (g, v) => g.mean(g.matmul(at(v, 0), at(v, 1))),
      },
    ],
    [
      'a sum of a transposed slice',
      { shapes: [[3, 4]], build: (g, v) => g.sum(g.transpose(g.slice(at(v, 0), 1, 1, 3))) },
    ],
    [
      'a sum kept as an axis and divided by',
      {
        shapes: [[2, 3]],
        range: [0.5, 1.5],
        build: (g, v) => g.sum(g.div(at(v, 0), g.sum(at(v, 0), [1], true)), [0]),
      },
    ],
    [
      'two uses of one value, one of them lazily',
      {
        shapes: [[2, 3]],
        build: (g, v) => g.add(g.sum(g.mul(g.exp(at(v, 0)), at(v, 0))), g.sum(g.exp(at(v, 0)))),
      },
    ],
  ])('%s', async (_, testCase) => {
    expect(await check(testCase)).toBeGreaterThan(0)
  })
})

describe('gradients', () => {
  test('of a matrix whose rows are picked again and again, some of them beside a use of all', async () => {
    const build: Case['build'] = (g, v) => {
      const [x] = [at(v, 0)]
      const picked = [
        [0, 2],
        [2, 1],
      ].map((rows, part) => g.sum(g.mul(g.square(g.gather(x, g.integers(rows))), part + 1)))
      return picked.reduce((sum, each) => g.add(sum, each), g.sum(g.exp(x)))
    }
    expect(await check({ shapes: [[3, 2]], build })).toBe(6)
  })

  test('of a value that is itself computed, such as a view of packed parameters', async () => {
    const g = new Graph()
    const packed = g.input('x0', [6])
    const view = g.reshape(g.slice(packed, 0, 2, 6), [2, 2])
    const loss = g.sum(g.square(view))
    const [gradient] = gradients(g, loss, [view])
    if (!gradient) throw new Error('no gradient')
    g.output('d', gradient)
    const kernel = await runtime.compile(g)
    const feeds = { x0: runtime.float32(Float32Array.of(1, 2, 3, 4, 5, 6), [6]) }
    expect([...(await kernel.run(feeds)).floats('d')]).toEqual([6, 8, 10, 12])
  })

  test('of something the loss does not depend on is an error, not a zero', () => {
    const g = new Graph()
    const x = g.input('x', [2])
    const other = g.input('other', [2])
    expect(() => gradients(g, g.sum(x), [other])).toThrow(/does not depend/)
  })

  test('of values in half precision, through every rule that brings a constant of its own', async () => {
    const g = new Graph()
    const x = g.input('x', [2, 3], 'float16')
    const positive = g.where(g.greater(x, 0.5), x, g.relu(g.max(x, 0)))
    const rows = g.add(g.mean(positive, [1], true), g.reduceMax(x, [1], true))
    const loss = g.sum(
      g.cast(g.mul(rows, g.gatherLast(x, g.unsqueeze(g.integers([2, 0]), [1]))), 'float32'),
    )
    const [gradient] = gradients(g, loss, [x])
    if (!gradient) throw new Error('no gradient')
    expect(gradient.dtype).toBe('float16')
    g.output('d', g.cast(gradient, 'float32'))
    const kernel = await runtime.compile(g)
    // 1, −0.5, 2 and 0.25, 1, 4 by their bits.
    const bits = Uint16Array.of(0x3c00, 0xb800, 0x4000, 0x3400, 0x3c00, 0x4400)
    const d = (await kernel.run({ x: runtime.float16(bits, [2, 3]) })).floats('d')
    // (mean(relu x) + max x) · x_k with k = 2 and 0: means 1 and 1.75.
    const third = 1 / 3
    const expected = [
      2 * third,
      0,
      2 * third + 2 + 3,
      0.25 * third + 5.75,
      0.25 * third,
      0.25 * third + 0.25,
    ]
    d.forEach((value, k) => expect(value).toBeCloseTo(expected[k] ?? NaN, 2))
  })

  test('with a symbolic batch size', async () => {
    const g = new Graph()
    const x = g.input('x', ['n', 2])
    const loss = g.mean(g.square(x))
    const [gradient] = gradients(g, loss, [x])
    if (!gradient) throw new Error('no gradient')
    g.output('d', gradient)
    const kernel = await runtime.compile(g)
    const feeds = { x: runtime.float32(Float32Array.of(3, 6, 9, 12), [2, 2]) }
    expect([...(await kernel.run(feeds)).floats('d')]).toEqual([1.5, 3, 4.5, 6])
  })
})

describe('the vector–Jacobian product', () => {
  test('of several outputs, one of which the other needs, and a v that is an output itself', async () => {
    const g = new Graph()
    const [x, w] = [g.input('x', ['n', 2]), g.input('w', [2, 2])]
    const y = g.matmul(x, w)
    const z = g.sum(g.square(y), [1])
    const [dy, dz] = [g.input('dy', ['n', 2]), g.input('dz', ['n'])]
    vjp(g, [y, z], [dy, dz], [x, w, y]).forEach((value, k) => g.output(`d${k}`, value))
    const kernel = await runtime.compile(g)
    const results = await kernel.run({
      x: runtime.float32(Float32Array.of(1, 2), [1, 2]),
      w: runtime.float32(Float32Array.of(1, 0, 3, 1), [2, 2]),
      dy: runtime.float32(Float32Array.of(1, -1), [1, 2]),
      dz: runtime.float32(Float32Array.of(0.5), [1]),
    })
    // y = [7, 2]; its cotangent dy + 2·dz·y = [8, 1]; for x times wᵀ, for w xᵀ times it.
    expect([...results.floats('d2')]).toEqual([8, 1])
    expect([...results.floats('d0')]).toEqual([8, 25])
    expect([...results.floats('d1')]).toEqual([8, 1, 16, 2])
  })

  test('takes a cotangent that is the same along an axis', async () => {
    const g = new Graph()
    const x = g.input('x', [2, 3])
    const [d] = vjp(g, [g.transpose(x)], [g.constant([1, 2], [2])], [x])
    if (!d) throw new Error('no gradient')
    g.output('d', d)
    const kernel = await runtime.compile(g)
    const results = await kernel.run({ x: runtime.float32(new Float32Array(6), [2, 3]) })
    expect([...results.floats('d')]).toEqual([1, 1, 1, 2, 2, 2])
  })

  test.each([
    ['too long', [4], 'float32'],
    ['of a higher rank', [1, 2, 3], 'float32'],
    ['of another type', [2, 3], 'float16'],
  ] as const)('refuses a cotangent that is %s', (_, shape, dtype) => {
    const g = new Graph()
    const x = g.input('x', [2, 3])
    expect(() => vjp(g, [g.neg(x)], [g.input('dy', shape, dtype)], [x])).toThrow(/does not fit/)
  })
})
