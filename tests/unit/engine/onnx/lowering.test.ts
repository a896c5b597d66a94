import { describe, expect, test } from 'vitest'
import { Graph, reachable, type ElementType } from '../../../../src/main/engine/onnx/graph'
import { encode } from '../../../../src/main/engine/onnx/lowering'
import { readOnnxModel, type GraphJson } from '../../../support/onnxModel'

const graphOf = (g: Graph): GraphJson => readOnnxModel(encode(g)).graph

type NodeJson = GraphJson['node'][number]
function only(graph: GraphJson, opType: string): NodeJson {
  const found = graph.node.filter(({ op_type }) => op_type === opType)
  if (found.length !== 1 || !found[0]) throw new Error(`${found.length} nodes ${opType}`)
  return found[0]
}
/** Attributes by name, without their type: AttributeProto.AttributeType is checked in a test of its own. */
const attributes = (node: NodeJson): Record<string, unknown> =>
  Object.fromEntries(
    (node.attribute ?? []).map(({ name, type: _, ...value }) => [name, Object.values(value)[0]]),
  )
/** Values of an int64 or float32 initialiser. */
function constant(graph: GraphJson, name: string | undefined): number[] {
  const found = graph.initializer?.find((each) => each.name === name)
  if (!found) throw new Error(`no initialiser ${name ?? ''}`)
  const bytes = Uint8Array.from(Buffer.from(found.raw_data, 'base64')).buffer
  return found.data_type === 7
    ? Array.from(new BigInt64Array(bytes), Number)
    : [...new Float32Array(bytes)]
}
const shapes = (values: GraphJson['input']): Record<string, unknown> =>
  Object.fromEntries(
    (values ?? []).map(({ name, type: { tensor_type } }) => [
      name,
      [
        tensor_type.elem_type,
        ...(tensor_type.shape.dim ?? []).map(
          ({ dim_value, dim_param }) => dim_param ?? Number(dim_value),
        ),
      ],
    ]),
  )

describe('a model', () => {
  test('has the versions, inputs and outputs that were declared, known sizes as numbers and others as names', () => {
    const g = new Graph()
    const x = g.input('x', ['n', 3])
    g.input('unused', [2], 'int64')
    g.output('y', g.mul(x, 2))
    g.output('scalar', g.sum(x))
    const model = readOnnxModel(encode(g))
    expect(model.ir_version).toBe('8')
    expect(model.opset_import).toEqual([
      { domain: '', version: '17' },
      { domain: 'com.microsoft', version: '1' },
    ])
    expect(shapes(model.graph.input)).toEqual({ x: [1, 'n', 3], unused: [7, 2] })
    expect(shapes(model.graph.output)).toEqual({ y: [1, 'n', 3], scalar: [1] })
  })

  test.each<[ElementType, number]>([
    ['float32', 1],
    ['uint16', 4],
    ['int16', 5],
    ['int32', 6],
    ['int64', 7],
    ['bool', 9],
    ['float16', 10],
    ['uint32', 12],
    ['bfloat16', 16],
  ])('calls %s by the number %i', (dtype, number) => {
    const g = new Graph()
    g.output('y', g.identity(g.cast(g.input('x', [1], 'int16'), dtype)))
    const graph = graphOf(g)
    expect(shapes(graph.output)).toEqual({ y: [number, 1] })
    if (dtype !== 'int16') expect(attributes(only(graph, 'Cast'))).toEqual({ to: String(number) })
  })

  test('holds what its outputs need, each constant once, and no more', () => {
    const g = new Graph()
    const x = g.input('x', [2])
    g.exp(g.mul(x, 7))
    const y = g.add(g.mul(x, 3), g.constant([3], []))
    g.output('y', y)
    const graph = graphOf(g)
    expect(graph.node.map(({ op_type }) => op_type)).toEqual(['Mul', 'Add', 'Identity'])
    expect(graph.initializer).toHaveLength(1)
    expect(constant(graph, graph.initializer?.[0]?.name)).toEqual([3])
    expect(only(graph, 'Identity')).toMatchObject({ input: [y.name], output: ['y'] })
    expect([...reachable([y])].map(({ op }) => op)).toEqual(['Add', 'Mul'])
  })

  test('an output that is a constant brings it along', () => {
    const g = new Graph()
    g.output('y', g.constant([1.5, -2], [2]))
    const graph = graphOf(g)
    expect(graph.initializer).toMatchObject([{ data_type: 1, dims: ['2'] }])
    expect(constant(graph, graph.initializer?.[0]?.name)).toEqual([1.5, -2])
  })
})

describe('operators take their parameters as opset 17 wants them', () => {
  test('axes of a sum and of shapes are inputs, those of other reductions attributes', () => {
    const g = new Graph()
    const x = g.input('x', [2, 3, 4])
    g.output('sum', g.sum(x, [0, -1], true))
    g.output('mean', g.mean(x, [1]))
    g.output('wide', g.unsqueeze(x, [0]))
    const graph = graphOf(g)
    const sum = only(graph, 'ReduceSum')
    expect(attributes(sum)).toEqual({ keepdims: '1' })
    expect(constant(graph, sum.input?.[1])).toEqual([0, 2])
    expect(attributes(only(graph, 'ReduceMean'))).toEqual({ axes: ['1'], keepdims: '0' })
    expect(constant(graph, only(graph, 'Unsqueeze').input?.[1])).toEqual([0])
  })

  test('products, with every kind of attribute by its type', () => {
    const g = new Graph()
    const [a, b, c] = [g.input('a', [3, 2]), g.input('b', [3, 4]), g.input('c', [4])]
    g.output('y', g.gemm(a, b, { transA: true, alpha: 0.5, c }))
    g.output('z', g.transpose(a))
    const graph = graphOf(g)
    expect(only(graph, 'Gemm')).toMatchObject({
      input: ['a', 'b', 'c'],
      attribute: [
        { name: 'transA', type: 2, i: '1' },
        { name: 'transB', type: 2, i: '0' },
        { name: 'alpha', type: 1, f: 0.5 },
        { name: 'beta', type: 1, f: 1 },
      ],
    })
    expect(only(graph, 'Transpose').attribute).toEqual([
      { name: 'perm', type: 7, ints: ['1', '0'] },
    ])
  })

  test('ranges, sizes with what stays open, and padding', () => {
    const g = new Graph()
    const x = g.input('x', ['n', 6])
    g.output('part', g.slice(x, 1, 2, 5))
    g.output('split', g.reshape(x, ['n', 2, 3]))
    g.output('flat', g.reshape(x, ['all']))
    g.output('padded', g.pad(x, 1, 4, 1))
    const graph = graphOf(g)
    const slice = only(graph, 'Slice').input?.slice(1) ?? []
    expect(slice.map((name) => constant(graph, name))).toEqual([[2], [5], [1]])
    const sizes = graph.node.filter(({ op_type }) => op_type === 'Reshape')
    expect(sizes.map(({ input }) => constant(graph, input?.[1]))).toEqual([[0, 2, 3], [-1]])
    // Before each axis, then after each.
    expect(constant(graph, only(graph, 'Pad').input?.[1])).toEqual([0, 4, 0, 1])
  })

  test('the transpose of a gather adds into zeros of the run-time shape', () => {
    const g = new Graph()
    const like = g.input('like', ['n', 2])
    const indices = g.input('at', ['k'], 'int64')
    g.output('y', g.scatterAdd(like, indices, g.input('updates', ['k', 2])))
    const graph = graphOf(g)
    const [shape, zeros, column, scatter] = graph.node
    expect(graph.node.map(({ op_type }) => op_type).slice(0, 4)).toEqual([
      'Shape',
      'ConstantOfShape',
      'Unsqueeze',
      'ScatterND',
    ])
    expect(zeros?.input).toEqual(shape?.output)
    expect(scatter?.input).toEqual([zeros?.output[0], column?.output[0], 'updates'])
    // "add" as bytes.
    expect(scatter?.attribute).toEqual([{ name: 'reduction', type: 3, s: 'YWRk' }])
  })

  test("rows are quantised by the runtime's own operator", () => {
    const g = new Graph()
    g.output('y', g.quantizeRows(g.input('x', [2, 3]), g.input('steps', [2])))
    expect(only(graphOf(g), 'QuantizeLinear').domain).toBe('com.microsoft')
  })
})

describe('a loop', () => {
  const g = new Graph()
  const [x, factor] = [g.input('x', [2]), g.input('factor', [])]
  const scaled = g.mul(factor, 5)
  const loop = g.loop({
    tripCount: g.integers(3),
    scanDim: 'steps',
    state: [x],
    body: (b, step, [value]) => {
      const next = b.add(b.mul(value!, scaled), b.constant([0.25, 0.5], [2]))
      b.exp(next)
      return { state: [next], scans: [b.cast(step, 'float32')] }
    },
  })
  g.output('last', loop.state[0]!)
  g.output('numbers', loop.scans[0]!)
  const graph = graphOf(g)
  const node = only(graph, 'Loop')
  const body = node.attribute?.[0]?.g

  test('takes a trip count, no condition and its state; what else it uses it finds by name', () => {
    expect(node.attribute).toMatchObject([{ name: 'body', type: 5 }])
    expect(constant(graph, node.input?.[0])).toEqual([3])
    expect(node.input?.slice(1)).toEqual(['', 'x'])
    expect(graph.node.map(({ op_type }) => op_type)).toEqual([
      'Mul',
      'Loop',
      'Identity',
      'Identity',
    ])
    expect(body?.node.some(({ input }) => input?.includes(scaled.name))).toBe(true)
    expect(shapes(graph.output)).toEqual({ last: [1, 2], numbers: [1, 'steps'] })
  })

  test('has a body of iteration, condition and state, in and out', () => {
    expect(Object.values(shapes(body?.input))).toEqual([[7], [9], [1, 2]])
    expect(Object.values(shapes(body?.output))).toEqual([[9], [1, 2], [1]])
    expect(body?.node.map(({ op_type }) => op_type)).toEqual(['Mul', 'Add', 'Cast', 'Identity'])
    // The condition goes through.
    expect(body?.node.at(-1)).toMatchObject({
      input: [body?.input?.[1]?.name],
      output: [body?.output[0]?.name],
    })
  })

  test('keeps its constants in the graph around it', () => {
    expect(body?.initializer).toBeUndefined()
    const values = graph.initializer?.map(({ name }) => constant(graph, name))
    expect(values).toContainEqual([0.25, 0.5])
  })
})
