/** @file Turns the expression builder's nodes into ONNX (opset 17) nodes. */
import {
  reachable,
  type Graph,
  type LoopBody,
  type Node,
  type OperatorName,
  type Reduction,
  type Value,
} from './graph'
import {
  CONTRIB_DOMAIN,
  DATA_TYPES,
  encodeModel,
  type AttributeProto,
  type GraphProto,
  type InitializerProto,
  type NodeProto,
  type ValueProto,
} from './proto'

interface Emission {
  /** ONNX operator, when its name is not the node's. */
  readonly opType?: string
  readonly domain?: string
  readonly inputs?: readonly string[]
  readonly attributes?: Readonly<Record<string, AttributeProto>>
}

type LoweringRule<K extends OperatorName> = (
  node: Node<K>,
  inputs: readonly string[],
  context: Lowering,
) => Emission

const int = (value: number): AttributeProto => ({ kind: 'int', value })
const ints = (value: readonly number[]): AttributeProto => ({ kind: 'ints', value })
const float = (value: number): AttributeProto => ({ kind: 'float', value })
const flag = (value: boolean): AttributeProto => int(value ? 1 : 0)

const asIs = (): Emission => ({})

/** Axes are an attribute; only those of `ReduceSum` are an input at opset 17. */
const reduction = ({
  attributes: { axes, keepdims },
}: Node<Exclude<Reduction, 'ReduceSum'>>): Emission => ({
  attributes: { axes: ints(axes), keepdims: flag(keepdims) },
})

/** ONNX's name for each operator's form: axes and sizes become inputs or attributes as opset 17 wants them. */
const RULES: { readonly [K in OperatorName]: LoweringRule<K> } = {
  Add: asIs,
  Sub: asIs,
  Mul: asIs,
  Div: asIs,
  Max: asIs,
  Neg: asIs,
  Sqrt: asIs,
  Exp: asIs,
  Log: asIs,
  Sin: asIs,
  Cos: asIs,
  Relu: asIs,
  Sigmoid: asIs,
  Tanh: asIs,
  Erf: asIs,
  MatMul: asIs,
  Where: asIs,
  Greater: asIs,
  GreaterOrEqual: asIs,
  Equal: asIs,
  Identity: asIs,
  Gemm: ({ attributes: { transA, transB, alpha, beta } }) => ({
    attributes: {
      transA: flag(transA),
      transB: flag(transB),
      alpha: float(alpha),
      beta: float(beta),
    },
  }),
  Transpose: ({ attributes }) => ({ attributes: { perm: ints(attributes.perm) } }),
  Reshape: ({ attributes }, [x = ''], context) => ({
    inputs: [x, context.integers(attributes.target)],
  }),
  ExpandLike: (_, [x = '', like = ''], context) => ({
    opType: 'Expand',
    inputs: [x, context.shapeOf(like)],
  }),
  Concat: ({ attributes }) => ({ attributes: { axis: int(attributes.axis) } }),
  Slice: ({ attributes: { ranges } }, [x = ''], context) => ({
    inputs: [
      x,
      context.integers(ranges.map(({ start }) => start)),
      context.integers(ranges.map(({ end }) => end)),
      context.integers(ranges.map(({ axis }) => axis)),
    ],
  }),
  Pad: ({ attributes: { axis, before, after }, outputs: [output] }, [x = ''], context) => {
    const rank = output?.rank ?? 0
    const pads = Array.from({ length: 2 * rank }, (_, index) =>
      index === axis ? before : index === rank + axis ? after : 0,
    )
    return { inputs: [x, context.integers(pads)] }
  },
  Gather: () => ({ attributes: { axis: int(0) } }),
  ScatterAdd: (_, [like = '', indices = '', updates = ''], context) => ({
    opType: 'ScatterND',
    inputs: [context.zerosLike(like), context.unsqueezeLast(indices), updates],
    attributes: { reduction: { kind: 'string', value: 'add' } },
  }),
  AddRows: (_, [base = '', indices = '', updates = ''], context) => ({
    opType: 'ScatterND',
    inputs: [base, context.unsqueezeLast(indices), updates],
    attributes: { reduction: { kind: 'string', value: 'add' } },
  }),
  TopOnly: ({ attributes: { k } }, [x = ''], context) => {
    const [values, indices] = context.largest(x, k)
    return {
      opType: 'ScatterElements',
      inputs: [context.zerosLike(x), indices, values],
      attributes: { axis: int(1) },
    }
  },
  NonZeroRows: (_, [column = ''], context) => ({
    opType: 'Squeeze',
    inputs: [context.nonZero(column), context.integers([0])],
  }),
  GatherLast: () => ({ opType: 'GatherElements', attributes: { axis: int(-1) } }),
  ReduceSum: ({ attributes: { axes, keepdims } }, [x = ''], context) => ({
    inputs: [x, context.integers(axes)],
    attributes: { keepdims: flag(keepdims) },
  }),
  ReduceMean: reduction,
  ReduceMax: reduction,
  ReduceMin: reduction,
  ReduceSumSquare: reduction,
  // ONNX's own takes int16 from opset 21 on only.
  QuantizeRows: () => ({
    opType: 'QuantizeLinear',
    domain: CONTRIB_DOMAIN,
    attributes: { axis: int(0) },
  }),
  Softmax: () => ({ attributes: { axis: int(-1) } }),
  Cast: ({ attributes }) => ({ attributes: { to: int(DATA_TYPES[attributes.to]) } }),
  Unsqueeze: ({ attributes }, [x = ''], context) => ({
    inputs: [x, context.integers(attributes.axes)],
  }),
  Squeeze: ({ attributes }, [x = ''], context) => ({
    inputs: [x, context.integers(attributes.axes)],
  }),
  Loop: ({ attributes: { body } }, inputs, context) => ({
    // Trip count, no condition, initial state; what the body captures it refers to by name.
    inputs: [inputs[0] ?? '', '', ...inputs.slice(1, 1 + body.state.length)],
    attributes: { body: { kind: 'graph', value: context.body(body) } },
  }),
}

/** A graph as an ONNX model in its protobuf form: the nodes that its outputs need. */
export function encode(graph: Graph): Uint8Array {
  return encodeModel(new Lowering(graph).lower())
}

class Lowering {
  private nodes: NodeProto[] = []
  private readonly usedConstants = new Set<string>()

  constructor(private readonly graph: Graph) {}

  /** Keeps the nodes that the outputs need, in the order in which they were built (which is topological). */
  lower(): GraphProto {
    const { outputs } = this.graph
    const nodes = this.lowerNodes(
      this.graph,
      outputs.map((output) => output.value),
    )
    // Outputs keep the names the caller gave them.
    for (const { name, value } of outputs) {
      nodes.push({ opType: 'Identity', inputs: [value.name], outputs: [name], attributes: {} })
      this.noteConstant(value)
    }
    return {
      name: 'lesa',
      nodes,
      initializers: this.initializers(),
      inputs: this.graph.inputs.map(toProto),
      outputs: outputs.map(({ name, value }) => ({ ...toProto(value), name })),
    }
  }

  /** A constant int64 vector. */
  integers(values: readonly number[]): string {
    const value = this.graph.integers(values)
    this.noteConstant(value)
    return value.name
  }

  shapeOf(name: string): string {
    return this.helper('Shape', [name])
  }

  zerosLike(name: string): string {
    return this.helper('ConstantOfShape', [this.shapeOf(name)])
  }

  unsqueezeLast(name: string): string {
    return this.helper('Unsqueeze', [name, this.integers([-1])])
  }

  /** Of each row, with their places. */
  largest(name: string, k: number): readonly [values: string, indices: string] {
    const outputs = [this.graph.freshName('h'), this.graph.freshName('h')] as const
    const inputs = [name, this.integers([k])]
    this.nodes.push({ opType: 'TopK', inputs, outputs, attributes: { axis: int(-1) } })
    return outputs
  }

  /** Of a column `[n, 1]`, `[1, found]`. */
  nonZero(column: string): string {
    return this.helper('NonZero', [this.helper('Squeeze', [column, this.integers([1])])])
  }

  body(body: LoopBody): GraphProto {
    const { graph } = body
    const condition = graph.freshName('k')
    const conditionOut = graph.freshName('k')
    const results = [...body.nextState, ...body.scans]
    const outer = this.nodes
    const nodes = this.lowerNodes(graph, results)
    this.nodes = outer
    nodes.push({
      opType: 'Identity',
      inputs: [condition],
      outputs: [conditionOut],
      attributes: {},
    })
    const bool = (name: string): ValueProto => ({ name, dtype: 'bool', shape: [] })
    return {
      name: graph.freshName('body'),
      nodes,
      initializers: [],
      inputs: [toProto(body.iteration), bool(condition), ...body.state.map(toProto)],
      outputs: [bool(conditionOut), ...results.map(toProto)],
    }
  }

  private lowerNodes(graph: Graph, results: readonly Value[]): NodeProto[] {
    const needed = reachable(results)
    this.nodes = []
    const nodes = this.nodes
    for (const node of graph.nodes) {
      if (!needed.has(node)) continue
      for (const input of node.inputs) this.noteConstant(input)
      this.nodes = nodes
      this.lowerNode(node)
    }
    return nodes
  }

  private lowerNode<K extends OperatorName>(node: Node<K>): void {
    const inputs = node.inputs.map((value) => value.name)
    const target = this.nodes
    const emission = RULES[node.op](node, inputs, this)
    target.push({
      opType: emission.opType ?? node.op,
      ...(emission.domain === undefined ? {} : { domain: emission.domain }),
      inputs: emission.inputs ?? inputs,
      outputs: node.outputs.map((value) => value.name),
      attributes: emission.attributes ?? {},
    })
  }

  private helper(opType: string, inputs: readonly string[]): string {
    const name = this.graph.freshName('h')
    this.nodes.push({ opType, inputs, outputs: [name], attributes: {} })
    return name
  }

  private noteConstant(value: Value): void {
    if (this.graph.isConstant(value)) this.usedConstants.add(value.name)
  }

  private initializers(): InitializerProto[] {
    return [...this.graph.constants.values()]
      .filter(({ value }) => this.usedConstants.has(value.name))
      .map(({ value, dims, data }) => ({ name: value.name, dtype: value.dtype, dims, data }))
  }
}

function toProto(value: Value): ValueProto {
  return { name: value.name, dtype: value.dtype, shape: value.shape }
}
