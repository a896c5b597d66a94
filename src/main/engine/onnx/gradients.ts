/**
 * @file Reverse-mode differentiation of the expression builder: from results back to what they depend on, one rule for
 * each operator, adding the gradient's nodes to the same graph.
 */
import { AppError } from '@shared/errors'
import {
  isFloat,
  reachable,
  type Dim,
  type Graph,
  type Node,
  type OperatorName,
  type Reduction,
  type Value,
} from './graph'

/** Operators through which no gradient flows: piecewise constant, integer-valued, or control. */
type NotDifferentiable =
  'Greater' | 'GreaterOrEqual' | 'Equal' | 'QuantizeRows' | 'NonZeroRows' | 'Loop'
export type DifferentiableOperator = Exclude<OperatorName, NotDifferentiable>

interface RuleContext<K extends OperatorName> {
  readonly g: Graph
  readonly node: Node<K>
  /** The operator's result. */
  readonly y: Value
  /** The cotangent of y: ∂loss/∂y where a loss is differentiated. */
  readonly dy: Value
}

/**
 * The cotangent of every input, before broadcasting is undone; `null` where none flows. A gradient may be smaller than
 * its input when it is the same along an axis: it is repeated only where an operator needs it whole.
 */
type Rule<K extends OperatorName> = (
  context: RuleContext<K>,
  ...inputs: Value[]
) => readonly (Value | null)[]

export const GRADIENT_RULES: { readonly [K in DifferentiableOperator]: Rule<K> } = {
  Add: ({ dy }) => [dy, dy],
  Sub: ({ g, dy }) => [dy, g.neg(dy)],
  Mul: ({ g, dy }, a, b) =>
    a === b ? [g.mul(g.mul(dy, 2), need(a)), null] : [g.mul(dy, need(b)), g.mul(dy, need(a))],
  // d(a/b) = da/b − y·db/b
  Div: ({ g, y, dy }, _a, b) => {
    const da = g.div(dy, need(b))
    return [da, g.neg(g.mul(y, da))]
  },
  // At a tie the first input takes it all.
  Max: ({ g, dy }, a, b) => {
    const first = g.cast(g.greaterOrEqual(need(a), need(b)), dy.dtype)
    return [g.mul(dy, first), g.sub(dy, g.mul(dy, first))]
  },
  Neg: ({ g, dy }) => [g.neg(dy)],
  Sqrt: ({ g, y, dy }) => [g.div(g.mul(dy, 0.5), y)],
  Exp: ({ g, y, dy }) => [g.mul(dy, y)],
  Log: ({ g, dy }, x) => [g.div(dy, need(x))],
  Sin: ({ g, dy }, x) => [g.mul(dy, g.cos(need(x)))],
  Cos: ({ g, dy }, x) => [g.neg(g.mul(dy, g.sin(need(x))))],
  Relu: ({ g, y, dy }) => [g.where(g.greater(y, 0), dy, scalarLike(g, 0, dy))],
  Sigmoid: ({ g, y, dy }) => [g.mul(dy, g.sub(y, g.square(y)))],
  Tanh: ({ g, y, dy }) => [g.sub(dy, g.mul(dy, g.square(y)))],
  Erf: ({ g, dy }, x) => {
    const slope = g.mul(g.exp(g.neg(g.square(need(x)))), 2 / Math.sqrt(Math.PI))
    return [g.mul(dy, slope)]
  },
  Identity: ({ dy }) => [dy],
  // Rounding counts as the identity; from and to whole numbers nothing flows.
  Cast: ({ g, y, dy }, x) => [isFloat(y) && isFloat(need(x)) ? g.cast(dy, need(x).dtype) : null],
  MatMul: ({ g, dy }, a, b) => [
    g.matmul(dy, transposeLast(g, need(b))),
    g.matmul(transposeLast(g, need(a)), dy),
  ],
  Gemm: ({ g, node, dy }, a, b, c) => {
    const { transA, transB, alpha, beta } = node.attributes
    const left = need(a)
    const right = need(b)
    // Y = α·op(A)·op(B): dop(A) = α·dY·op(B)ᵀ, dop(B) = α·op(A)ᵀ·dY; an operand that is transposed swaps both sides.
    const da = transA
      ? g.gemm(right, dy, { transA: transB, transB: true, alpha })
      : g.gemm(dy, right, { transB: !transB, alpha })
    const db = transB
      ? g.gemm(dy, left, { transA: true, transB: transA, alpha })
      : g.gemm(left, dy, { transA: !transA, alpha })
    return c === undefined ? [da, db] : [da, db, beta === 1 ? dy : g.mul(dy, beta)]
  },
  Transpose: ({ g, node, dy }) => {
    const inverse = node.attributes.perm.map((_, axis) => node.attributes.perm.indexOf(axis))
    return [g.transpose(dy, inverse)]
  },
  Reshape: ({ g, dy }, x) => [g.reshape(dy, need(x).shape)],
  ExpandLike: ({ dy }) => [dy, null],
  Concat: ({ g, node, dy }, ...inputs) => {
    const { axis } = node.attributes
    let start = 0
    return inputs.map((input) => {
      const end = start + knownSize(input, axis)
      const part = g.slice(dy, axis, start, end)
      start = end
      return part
    })
  },
  Slice: ({ g, node, dy }, x) => [
    node.attributes.ranges.reduce(
      (padded, { axis, start, end }) => g.pad(padded, axis, start, knownSize(need(x), axis) - end),
      dy,
    ),
  ],
  Pad: ({ g, node, dy }, x) => {
    const { axis, before } = node.attributes
    return [g.slice(dy, axis, before, before + knownSize(need(x), axis))]
  },
  Gather: ({ g, dy }, x, indices) => [g.scatterAdd(need(x), need(indices), dy), null],
  ScatterAdd: ({ g, dy }, _like, indices) => [null, null, g.gather(dy, need(indices))],
  AddRows: ({ g, dy }, _base, indices) => [dy, null, g.gather(dy, need(indices))],
  // Which elements are kept is taken for constant.
  TopOnly: ({ g, y, dy }) => [g.where(g.equal(y, 0), scalarLike(g, 0, dy), dy)],
  GatherLast: ({ g, dy }, x, indices) => {
    // One-hot of the index along the last axis, times the gradient.
    const source = need(x)
    const columns = g.integers([...Array(knownSize(source, source.rank - 1)).keys()])
    return [g.mul(g.cast(g.equal(need(indices), columns), dy.dtype), dy), null]
  },
  ReduceSum: ({ g, node, dy }) => [keepAxes(g, node, dy)],
  ReduceMean: ({ g, node, dy }, x) => {
    const source = need(x)
    const { axes, keepdims } = node.attributes
    const known = axes.every((axis) => typeof source.shape[axis] === 'number')
    // Where a reduced size is symbolic, the count is taken at run time as a sum of ones.
    const share = known
      ? g.div(
          dy,
          axes.reduce((count, axis) => count * knownSize(source, axis), 1),
        )
      : g.div(dy, g.sum(g.expandLike(scalarLike(g, 1, dy), source), axes, keepdims))
    return [keepAxes(g, node, share)]
  },
  ReduceSumSquare: ({ g, node, dy }, x) => [g.mul(keepAxes(g, node, g.mul(dy, 2)), need(x))],
  ReduceMax: extremeRule,
  ReduceMin: extremeRule,
  // dx = y ⊙ (dy − Σ y⊙dy)
  Softmax: ({ g, y, dy }) => [g.mul(y, g.sub(dy, g.sum(g.mul(y, dy), [y.rank - 1], true)))],
  Where: ({ g, dy }, condition) => {
    const zero = scalarLike(g, 0, dy)
    return [null, g.where(need(condition), dy, zero), g.where(need(condition), zero, dy)]
  },
  Unsqueeze: ({ g, node, dy }) => [g.squeeze(dy, node.attributes.axes)],
  Squeeze: ({ g, node, dy }) => [g.unsqueeze(dy, node.attributes.axes)],
}

/** Operators whose rules take a gradient that is smaller than the result, because they only combine it by broadcasting. */
const BROADCASTING: ReadonlySet<OperatorName> = new Set<OperatorName>([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Max',
  'Neg',
  'Sqrt',
  'Exp',
  'Log',
  'Sin',
  'Cos',
  'Relu',
  'Sigmoid',
  'Tanh',
  'Erf',
  'Identity',
  'Cast',
])

/**
 * ∂`loss`/∂v for every v in `wrt`, as new values of the same graph.
 *
 * @param loss A float32 scalar.
 * @throws AppError `bug` when `loss` does not depend on a v, or only through an operator without a gradient.
 */
export function gradients(g: Graph, loss: Value, wrt: readonly Value[]): Value[] {
  if (loss.rank !== 0) throw new AppError('bug', 'Only a scalar can be differentiated.')
  return vjp(g, [loss], [g.scalar(1)], wrt)
}

/**
 * The vector–Jacobian product Σ_k `cotangents`_k · ∂`outputs`_k/∂v for every v in `wrt`, as new values of the same
 * graph. With ∂loss/∂output as the cotangents, which may be inputs of the graph, it is the part of a backward pass that
 * leads through these nodes.
 *
 * @param cotangents One for each output, of its element type and shape; smaller where it is the same along an axis.
 * @throws AppError `bug` when no output depends on a v, or only through an operator without a gradient.
 */
export function vjp(
  g: Graph,
  outputs: readonly Value[],
  cotangents: readonly Value[],
  wrt: readonly Value[],
): Value[] {
  const between = dependents(g, outputs, wrt)
  const total = new Map<Value, Value>()
  const flow = (value: Value, cotangent: Value): void => {
    const sum = total.get(value)
    total.set(value, sum ? plus(g, sum, cotangent) : cotangent)
  }
  outputs.forEach((output, index) => {
    const cotangent = need(cotangents[index])
    if (cotangent.dtype !== output.dtype || !fits(cotangent, output)) {
      throw new AppError('bug', `A cotangent does not fit ${output.name}.`)
    }
    flow(output, cotangent)
  })
  const carries = (value: Value): boolean =>
    wrt.includes(value) || (value.node !== null && between.has(value.node))
  // Rules append nodes while the list is walked, so walk a copy; creation order is topological.
  for (const node of [...g.nodes].reverse()) {
    if (!between.has(node)) continue
    const y = node.outputs[0]
    const flowing = y && total.get(y)
    if (!y || !flowing) continue
    const dy = BROADCASTING.has(node.op) ? flowing : whole(g, flowing, y)
    const rule = (GRADIENT_RULES as Partial<Record<OperatorName, Rule<OperatorName>>>)[node.op]
    if (!rule) throw new AppError('bug', `${node.op} has no gradient.`)
    const partial = rule({ g, node, y, dy }, ...node.inputs)
    node.inputs.forEach((input, index) => {
      const back = partial[index]
      if (!back || !carries(input)) return
      // Where an input was repeated, what flows back has to be repeated too before it is summed.
      const repeats = BROADCASTING.has(node.op) && !sameShape(input, y)
      flow(input, undoBroadcast(g, repeats ? whole(g, back, y) : back, input))
    })
  }
  return wrt.map((value) => {
    const gradient = total.get(value)
    if (!gradient) throw new AppError('bug', `The result does not depend on ${value.name}.`)
    return whole(g, gradient, value)
  })
}

/** A sum; of rows that were picked one by one, as an addition to these rows alone, which takes the first term's place. */
function plus(g: Graph, sum: Value, term: Value): Value {
  const { node } = term
  if (node?.op !== 'ScatterAdd' || !sameShape(sum, term)) return g.add(sum, term)
  const [, indices, updates] = node.inputs
  return g.addRows(sum, need(indices), need(updates))
}

/** Nodes on a path from `wrt` to `outputs`: only these need gradients. */
function dependents(g: Graph, outputs: readonly Value[], wrt: readonly Value[]): Set<Node> {
  const above = reachable(outputs)
  const carriers = new Set<Value>(wrt)
  const between = new Set<Node>()
  for (const node of g.nodes) {
    if (!above.has(node) || !node.inputs.some((input) => carriers.has(input))) continue
    between.add(node)
    for (const output of node.outputs) carriers.add(output)
  }
  return between
}

/** A gradient in the full shape of its value. */
function whole(g: Graph, gradient: Value, value: Value): Value {
  return sameShape(gradient, value) ? gradient : g.expandLike(gradient, value)
}

function sameShape(a: Value, b: Value): boolean {
  return a.rank === b.rank && a.shape.every((dim, axis) => dim === b.shape[axis])
}

/** Whether a gradient broadcasts to the shape of its value. */
function fits(gradient: Value, value: Value): boolean {
  const extra = value.rank - gradient.rank
  return (
    extra >= 0 && gradient.shape.every((dim, at) => dim === 1 || dim === value.shape[at + extra])
  )
}

/** Sums a gradient over the axes along which its input was repeated. */
function undoBroadcast(g: Graph, gradient: Value, input: Value): Value {
  const extra = gradient.rank - input.rank
  if (extra < 0) return gradient
  const summed =
    extra === 0
      ? gradient
      : extra === 1 && gradient.rank === 2
        ? columnSums(g, gradient)
        : g.sum(gradient, [...Array(extra).keys()])
  const repeated = input.shape.flatMap((dim, axis) =>
    dim === 1 && summed.shape[axis] !== 1 ? [axis] : [],
  )
  return repeated.length > 0 ? g.sum(summed, repeated, true) : summed
}

/** Rows of ones by their length, for each graph that has them. */
const onesOf = new WeakMap<Graph, Map<Dim, Value>>()

/** Sums of a matrix's columns, as a product: faster than the operator for sums, which walks down each column. */
function columnSums(g: Graph, x: Value): Value {
  const rows = onesOf.get(g) ?? new Map<Dim, Value>()
  onesOf.set(g, rows)
  const height = x.shape[0]!
  const ones =
    rows.get(height) ??
    g.transpose(g.expandLike(g.cast(g.constant([1], [1, 1]), x.dtype), g.slice(x, 1, 0, 1)))
  rows.set(height, ones)
  return g.squeeze(g.matmul(ones, x), [0])
}

/** The gradient of a largest or smallest element, shared equally among those that are equal. */
function extremeRule(
  { g, node, y, dy }: RuleContext<'ReduceMax' | 'ReduceMin'>,
  x: Value | undefined,
): [Value] {
  const source = need(x)
  const isExtreme = g.cast(g.equal(source, keepAxes(g, node, y)), dy.dtype)
  const ties = g.sum(isExtreme, node.attributes.axes, true)
  return [g.mul(isExtreme, g.div(keepAxes(g, node, dy), ties))]
}

/** Puts reduced axes back with size 1. */
function keepAxes(g: Graph, node: Node<Reduction>, value: Value): Value {
  // A scalar broadcasts to every shape as it is.
  return node.attributes.keepdims || value.rank === 0
    ? value
    : g.unsqueeze(value, node.attributes.axes)
}

function transposeLast(g: Graph, x: Value): Value {
  const axes = [...x.shape.keys()]
  return g.transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2])
}

function scalarLike(g: Graph, value: number, { dtype }: Value): Value {
  return g.cast(g.scalar(value), dtype)
}

function knownSize(value: Value, axis: number): number {
  const size = value.shape[axis]
  if (typeof size === 'number') return size
  throw new AppError('bug', `The gradient needs a known size, found ${String(size)}.`)
}

function need(value: Value | undefined): Value {
  if (value) return value
  throw new AppError('bug', 'An operator lacks an input.')
}
