/**
 * @file A typed expression builder for tensor graphs. Values are nodes of a directed acyclic graph with known element
 * types and (partly symbolic) shapes.
 *
 * Nodes carry their static parameters as attributes whatever ONNX wants (some operators take them as inputs), so that
 * differentiation (`gradients.ts`) sees one uniform form; `lowering.ts` turns a graph into an ONNX model.
 */
import { AppError } from '@shared/errors'

/** Floating point of 32 and 16 bits, integers and truth values. Tensors of bfloat16 exist inside a graph only. */
export type ElementType = FloatType | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'bool'
type FloatType = 'float32' | 'float16' | 'bfloat16'

/** A dimension: known, or a name that stands for the same size wherever it appears. */
export type Dim = number | string
export type Shape = readonly Dim[]

/** Static parameters of every operator of the language. An operator that is added here needs a lowering and a rule. */
export interface Operators {
  Add: None
  Sub: None
  Mul: None
  Div: None
  /** Element-wise larger of two. */
  Max: None
  Neg: None
  Sqrt: None
  Exp: None
  Log: None
  Sin: None
  Cos: None
  Relu: None
  Sigmoid: None
  Tanh: None
  /** The error function, 2/√π · ∫ exp(−t²) from 0. */
  Erf: None
  MatMul: None
  /** `alpha · op(A) · op(B) + beta · C`, matrices only. Inputs: A, B and, when `beta` is not 0, C. */
  Gemm: { transA: boolean; transB: boolean; alpha: number; beta: number }
  Transpose: { perm: readonly number[] }
  /** At most one `-1`; the rest are sizes, or 0 to take the input's size at that place. */
  Reshape: { target: readonly number[] }
  /** Broadcasts the first input to the shape of the second. */
  ExpandLike: None
  Concat: { axis: number }
  Slice: { ranges: readonly SliceRange[] }
  /** Zeros before and after along one axis. */
  Pad: { axis: number; before: number; after: number }
  /** Picks slices along the first axis by integer indices. */
  Gather: None
  /** Inputs: like (gives the shape), indices, updates. Zeros with `updates` added at the first axis's `indices`. */
  ScatterAdd: None
  /** Inputs: base, indices, updates. The base with `updates` added at the first axis's `indices`. */
  AddRows: None
  /** Picks one element a row: inputs `[..., n]` and integer `[..., 1]`. */
  GatherLast: None
  /** The `k` largest elements of each row of a matrix in their places, the first of equal ones; 0 elsewhere. */
  TopOnly: { k: number }
  /** The numbers of the rows of a column `[n, 1]` that are not 0, in order, int64. */
  NonZeroRows: None
  ReduceSum: { axes: readonly number[]; keepdims: boolean }
  ReduceMean: { axes: readonly number[]; keepdims: boolean }
  ReduceMax: { axes: readonly number[]; keepdims: boolean }
  ReduceMin: { axes: readonly number[]; keepdims: boolean }
  /** Σ x² */
  ReduceSumSquare: { axes: readonly number[]; keepdims: boolean }
  /** Inputs: matrix, a step for each of its rows, an int16 zero for each. Rounds to whole steps, ties to even. */
  QuantizeRows: None
  /** Over the last axis. */
  Softmax: None
  Where: None
  Greater: None
  GreaterOrEqual: None
  Equal: None
  Cast: { to: ElementType }
  Unsqueeze: { axes: readonly number[] }
  Squeeze: { axes: readonly number[] }
  Identity: None
  Loop: { body: LoopBody }
}

type None = Readonly<Record<never, never>>

type UnaryOperator =
  'Neg' | 'Sqrt' | 'Exp' | 'Log' | 'Sin' | 'Cos' | 'Relu' | 'Sigmoid' | 'Tanh' | 'Erf' | 'Identity'

export type Reduction = 'ReduceSum' | 'ReduceMean' | 'ReduceMax' | 'ReduceMin' | 'ReduceSumSquare'

/** `start` (included) to `end` (excluded) along one axis. */
export interface SliceRange {
  readonly axis: number
  readonly start: number
  readonly end: number
}

export type OperatorName = keyof Operators

export interface Node<K extends OperatorName = OperatorName> {
  readonly op: K
  readonly inputs: readonly Value[]
  readonly attributes: Operators[K]
  readonly outputs: readonly Value[]
}

/** A loop's body, closed over `captures` of the enclosing graph. */
export interface LoopBody {
  readonly graph: Graph
  readonly iteration: Value
  readonly state: readonly Value[]
  readonly nextState: readonly Value[]
  readonly scans: readonly Value[]
  readonly captures: readonly Value[]
}

/** A tensor in a graph under construction. */
export class Value {
  /** What computes it; `null` for inputs, constants and loop variables. */
  node: Node | null = null

  constructor(
    readonly graph: Graph,
    readonly name: string,
    readonly dtype: ElementType,
    readonly shape: Shape,
  ) {}

  get rank(): number {
    return this.shape.length
  }
}

interface Constant {
  readonly value: Value
  readonly dims: readonly number[]
  readonly data: Uint8Array
}

/** Builds one graph; loop bodies are graphs of their own that may use values of the enclosing one. */
export class Graph {
  readonly nodes: Node[] = []
  readonly inputs: Value[] = []
  readonly constants: Map<string, Constant>
  readonly outputs: { readonly name: string; readonly value: Value }[] = []
  private readonly counter: { next: number }

  constructor(readonly parent: Graph | null = null) {
    this.counter = parent?.counter ?? { next: 0 }
    this.constants = parent?.constants ?? new Map<string, Constant>()
  }

  // ---- leaves -------------------------------------------------------------------------------------------------

  /** A tensor fed at run time. */
  input(name: string, shape: Shape, dtype: ElementType = 'float32'): Value {
    const value = new Value(this, name, dtype, shape)
    this.inputs.push(value)
    return value
  }

  /** A float32 tensor known now. */
  constant(values: ArrayLike<number>, dims: readonly number[]): Value {
    return this.addConstant('float32', dims, Float32Array.from(values))
  }

  /** A float32 scalar known now. */
  scalar(value: number): Value {
    return this.constant([value], [])
  }

  /** An int64 vector (or scalar, for a plain number) known now. */
  integers(values: number | readonly number[]): Value {
    const list = typeof values === 'number' ? [values] : values
    const dims = typeof values === 'number' ? [] : [values.length]
    return this.addConstant('int64', dims, BigInt64Array.from(list.map(BigInt)))
  }

  private addConstant(
    dtype: ElementType,
    dims: readonly number[],
    array: Float32Array | BigInt64Array,
  ): Value {
    const size = dims.reduce((product, dim) => product * dim, 1)
    if (array.length !== size) throw wrongShape('constant', String(size), String(array.length))
    const data = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
    // Small constants (scalars, axes) recur in every expression: keep one of each.
    const key =
      array.length <= 8 ? `${dtype}[${dims.join()}]${Array.from(array, String).join()}` : null
    const known = key === null ? undefined : this.constants.get(key)
    if (known) return known.value
    const value = new Value(this.root, this.freshName('c'), dtype, dims)
    this.constants.set(key ?? value.name, { value, dims, data })
    return value
  }

  private get root(): Graph {
    return this.parent?.root ?? this
  }

  // ---- arithmetic ---------------------------------------------------------------------------------------------

  add(a: Value, b: Value | number): Value {
    return this.binary('Add', a, b)
  }

  sub(a: Value, b: Value | number): Value {
    return this.binary('Sub', a, b)
  }

  mul(a: Value, b: Value | number): Value {
    return this.binary('Mul', a, b)
  }

  div(a: Value, b: Value | number): Value {
    return this.binary('Div', a, b)
  }

  max(a: Value, b: Value | number): Value {
    return this.binary('Max', a, b)
  }

  neg(x: Value): Value {
    return this.unary('Neg', x)
  }

  sqrt(x: Value): Value {
    return this.unary('Sqrt', x)
  }

  exp(x: Value): Value {
    return this.unary('Exp', x)
  }

  log(x: Value): Value {
    return this.unary('Log', x)
  }

  sin(x: Value): Value {
    return this.unary('Sin', x)
  }

  cos(x: Value): Value {
    return this.unary('Cos', x)
  }

  relu(x: Value): Value {
    return this.unary('Relu', x)
  }

  sigmoid(x: Value): Value {
    return this.unary('Sigmoid', x)
  }

  tanh(x: Value): Value {
    return this.unary('Tanh', x)
  }

  erf(x: Value): Value {
    return this.unary('Erf', x)
  }

  square(x: Value): Value {
    return this.mul(x, x)
  }

  identity(x: Value): Value {
    return this.unary('Identity', x)
  }

  cast(x: Value, to: ElementType): Value {
    return x.dtype === to ? x : this.emit('Cast', [x], { to }, x.shape, to)
  }

  // ---- comparison and choice ----------------------------------------------------------------------------------

  greater(a: Value, b: Value | number): Value {
    return this.binary('Greater', a, b, 'bool')
  }

  greaterOrEqual(a: Value, b: Value | number): Value {
    return this.binary('GreaterOrEqual', a, b, 'bool')
  }

  equal(a: Value, b: Value | number): Value {
    return this.binary('Equal', a, b, 'bool')
  }

  where(condition: Value, a: Value, b: Value): Value {
    const shape = broadcast('Where', broadcast('Where', condition.shape, a.shape), b.shape)
    return this.emit('Where', [condition, a, b], {}, shape, a.dtype)
  }

  // ---- linear algebra -----------------------------------------------------------------------------------------

  /** Matrix product over the last two axes, the leading ones broadcast. */
  matmul(a: Value, b: Value): Value {
    if (a.rank < 2 || b.rank < 2) throw wrongShape('MatMul', 'rank ≥ 2', `${show(a)} · ${show(b)}`)
    const [m, ka] = lastTwo(a.shape)
    const [kb, n] = lastTwo(b.shape)
    if (!sameDim(ka, kb)) throw wrongShape('MatMul', `inner size ${String(ka)}`, String(kb))
    const batch = broadcast('MatMul', a.shape.slice(0, -2), b.shape.slice(0, -2))
    return this.emit('MatMul', [a, b], {}, [...batch, m, n], a.dtype)
  }

  /** `alpha · op(a) · op(b) + beta · c` for matrices; `c` broadcasts. */
  gemm(
    a: Value,
    b: Value,
    options: { transA?: boolean; transB?: boolean; alpha?: number; beta?: number; c?: Value } = {},
  ): Value {
    const { transA = false, transB = false, alpha = 1, c } = options
    const beta = c === undefined ? 0 : (options.beta ?? 1)
    if (a.rank !== 2 || b.rank !== 2)
      throw wrongShape('Gemm', 'matrices', `${show(a)} · ${show(b)}`)
    const [m, ka] = transA ? swapped(a.shape) : lastTwo(a.shape)
    const [kb, n] = transB ? swapped(b.shape) : lastTwo(b.shape)
    if (!sameDim(ka, kb)) throw wrongShape('Gemm', `inner size ${String(ka)}`, String(kb))
    if (c !== undefined) broadcast('Gemm', [m, n], c.shape)
    const inputs = c === undefined || beta === 0 ? [a, b] : [a, b, c]
    return this.emit('Gemm', inputs, { transA, transB, alpha, beta }, [m, n], a.dtype)
  }

  /** `x · weightᵀ + bias`, the `nn.Linear` layout: x `[n, in]`, weight `[out, in]`, bias `[out]`. */
  linear(x: Value, weight: Value, bias?: Value): Value {
    return this.gemm(x, weight, { transB: true, ...(bias === undefined ? {} : { c: bias }) })
  }

  transpose(x: Value, perm: readonly number[] = [...x.shape.keys()].reverse()): Value {
    return this.emit(
      'Transpose',
      [x],
      { perm },
      perm.map((axis) => dimAt(x, axis)),
      x.dtype,
    )
  }

  // ---- shape --------------------------------------------------------------------------------------------------

  /** Gives `x` another shape; at most one dimension may be symbolic without standing at the same place in `x`. */
  reshape(x: Value, shape: Shape): Value {
    let open = 0
    const target = shape.map((dim, axis) => {
      if (typeof dim === 'number') return dim
      if (x.shape[axis] === dim) return 0
      open += 1
      return -1
    })
    if (open > 1) throw wrongShape('Reshape', 'one open dimension', shape.join('×'))
    return this.emit('Reshape', [x], { target }, shape, x.dtype)
  }

  /** Broadcasts `x` to the shape of `like`. */
  expandLike(x: Value, like: Value): Value {
    broadcast('ExpandLike', x.shape, like.shape)
    return this.emit('ExpandLike', [x, like], {}, like.shape, x.dtype)
  }

  concat(values: readonly Value[], axis: number): Value {
    const [first] = values
    if (!first) throw wrongShape('Concat', 'at least one value', 'none')
    if (values.length === 1) return first
    const at = axis < 0 ? axis + first.rank : axis
    const sizes = values.map((value) => dimAt(value, at))
    const total = sizes.every((size) => typeof size === 'number')
      ? sizes.reduce((sum, size) => sum + size, 0)
      : sizes.join('+')
    const shape = first.shape.map((dim, index) => (index === at ? total : dim))
    return this.emit('Concat', values, { axis: at }, shape, first.dtype)
  }

  /** `x[start:end]` along `axis`. */
  slice(x: Value, axis: number, start: number, end: number): Value {
    const at = axis < 0 ? axis + x.rank : axis
    const size = dimAt(x, at)
    if (start < 0 || end < start || (typeof size === 'number' && end > size)) {
      throw wrongShape('Slice', `a range within ${String(size)}`, `${start}..${end}`)
    }
    const shape = x.shape.map((dim, index) => (index === at ? end - start : dim))
    return this.emit('Slice', [x], { ranges: [{ axis: at, start, end }] }, shape, x.dtype)
  }

  /** `x[start:, start:, …]` along `axes`, whatever their size, which is then called `name`. */
  sliceFrom(x: Value, axes: readonly number[], start: number, name: string): Value {
    const shape = x.shape.map((dim, index) => (axes.includes(index) ? name : dim))
    const ranges = axes.map((axis) => ({ axis, start, end: Number.MAX_SAFE_INTEGER }))
    return this.emit('Slice', [x], { ranges }, shape, x.dtype)
  }

  pad(x: Value, axis: number, before: number, after: number): Value {
    const size = dimAt(x, axis)
    const padded = typeof size === 'number' ? size + before + after : `${before}+${size}+${after}`
    const shape = x.shape.map((dim, index) => (index === axis ? padded : dim))
    return this.emit('Pad', [x], { axis, before, after }, shape, x.dtype)
  }

  unsqueeze(x: Value, axes: readonly number[]): Value {
    const shape: Dim[] = [...x.shape]
    for (const axis of [...axes].sort((a, b) => a - b)) shape.splice(axis, 0, 1)
    return this.emit('Unsqueeze', [x], { axes }, shape, x.dtype)
  }

  squeeze(x: Value, axes: readonly number[]): Value {
    const shape = x.shape.filter((_, axis) => !axes.includes(axis))
    return this.emit('Squeeze', [x], { axes }, shape, x.dtype)
  }

  // ---- indexing -----------------------------------------------------------------------------------------------

  /** `x[indices]` along the first axis; the result has the shape `[...indices, ...x.shape[1:]]`. */
  gather(x: Value, indices: Value): Value {
    return this.emit('Gather', [x, indices], {}, [...indices.shape, ...x.shape.slice(1)], x.dtype)
  }

  /** Zeros in the shape of `like` with `updates` added at `indices` of the first axis: the transpose of `gather`. */
  scatterAdd(like: Value, indices: Value, updates: Value): Value {
    return this.emit('ScatterAdd', [like, indices, updates], {}, like.shape, like.dtype)
  }

  /** `base` with `updates` added at `indices` of the first axis, of which each is named once. */
  addRows(base: Value, indices: Value, updates: Value): Value {
    return this.emit('AddRows', [base, indices, updates], {}, base.shape, base.dtype)
  }

  /** `x[..., indices]`, one element for each leading position; indices `[..., 1]`. */
  gatherLast(x: Value, indices: Value): Value {
    return this.emit('GatherLast', [x, indices], {}, indices.shape, x.dtype)
  }

  /** The `k` largest elements of each row of a matrix in their places, the first of equal ones, and 0 elsewhere. */
  topOnly(x: Value, k: number): Value {
    return this.emit('TopOnly', [x], { k }, x.shape, x.dtype)
  }

  /** The rows of a column `[n, 1]` that are not 0, int64; their number is called `name`. */
  nonZeroRows(column: Value, name: string): Value {
    return this.emit('NonZeroRows', [column], {}, [name], 'int64')
  }

  // ---- reduction ----------------------------------------------------------------------------------------------

  /** Sum over `axes`, all of them by default. */
  sum(x: Value, axes?: readonly number[], keepdims = false): Value {
    return this.reduce('ReduceSum', x, axes, keepdims)
  }

  /** Σ x² over `axes`, all of them by default, in one pass. */
  sumSquares(x: Value, axes?: readonly number[], keepdims = false): Value {
    // A sum over no axis is the value itself, its square is not.
    return (axes ?? x.shape).length === 0
      ? this.square(x)
      : this.reduce('ReduceSumSquare', x, axes, keepdims)
  }

  mean(x: Value, axes?: readonly number[], keepdims = false): Value {
    return this.reduce('ReduceMean', x, axes, keepdims)
  }

  reduceMax(x: Value, axes?: readonly number[], keepdims = false): Value {
    return this.reduce('ReduceMax', x, axes, keepdims)
  }

  reduceMin(x: Value, axes?: readonly number[], keepdims = false): Value {
    return this.reduce('ReduceMin', x, axes, keepdims)
  }

  /** A matrix `[r, c]` in whole steps, one step size for each row (`[r]`, positive); int16, saturating. */
  quantizeRows(x: Value, steps: Value): Value {
    const zeros = this.cast(this.mul(steps, 0), 'int16')
    return this.emit('QuantizeRows', [x, steps, zeros], {}, x.shape, 'int16')
  }

  /** Over the last axis. */
  softmax(x: Value): Value {
    return this.emit('Softmax', [x], {}, x.shape, x.dtype)
  }

  // ---- control ------------------------------------------------------------------------------------------------

  /**
   * Runs `body` `tripCount` times. State values keep their shape from one iteration to the next; each `scans` value is
   * collected over the iterations along a new first axis called `scanDim`.
   */
  loop(options: {
    tripCount: Value
    scanDim: Dim
    state: readonly Value[]
    body: (
      graph: Graph,
      iteration: Value,
      state: readonly Value[],
    ) => { state: readonly Value[]; scans?: readonly Value[] }
  }): { state: readonly Value[]; scans: readonly Value[] } {
    const graph = new Graph(this)
    const iteration = graph.input(graph.freshName('i'), [], 'int64')
    const state = options.state.map((value) =>
      graph.input(graph.freshName('s'), value.shape, value.dtype),
    )
    const result = options.body(graph, iteration, state)
    // A body output must be computed in the body: what is only passed through gets a node of its own.
    const own = (value: Value): Value =>
      value.graph === graph && value.node ? value : graph.identity(value)
    const nextState = result.state.map(own)
    const scans = (result.scans ?? []).map(own)
    const captures = graph.captured(nextState, scans)
    const body: LoopBody = { graph, iteration, state, nextState, scans, captures }
    const inputs = [options.tripCount, ...options.state, ...captures]
    const outputs = [
      ...options.state.map((value) => this.fresh(value.dtype, value.shape)),
      ...scans.map((value) => this.fresh(value.dtype, [options.scanDim, ...value.shape])),
    ]
    this.attach({ op: 'Loop', inputs, attributes: { body }, outputs })
    return { state: outputs.slice(0, state.length), scans: outputs.slice(state.length) }
  }

  /** Values of enclosing graphs, constants aside, that this graph's nodes use. */
  private captured(nextState: readonly Value[], scans: readonly Value[]): Value[] {
    const found = new Set<Value>()
    for (const value of [...this.nodes.flatMap((node) => node.inputs), ...nextState, ...scans]) {
      if (value.graph !== this && !this.isConstant(value)) found.add(value)
    }
    return [...found]
  }

  isConstant(value: Value): boolean {
    return value.node === null && !value.graph.inputs.includes(value)
  }

  // ---- building -----------------------------------------------------------------------------------------------

  /** Declares a result; what no result needs is left out of the model. */
  output(name: string, value: Value): void {
    this.outputs.push({ name, value })
  }

  freshName(prefix: string): string {
    this.counter.next += 1
    return `${prefix}${this.counter.next}`
  }

  private fresh(dtype: ElementType, shape: Shape): Value {
    return new Value(this, this.freshName('v'), dtype, shape)
  }

  private attach(node: Node): void {
    for (const output of node.outputs) output.node = node
    this.nodes.push(node)
  }

  private emit<K extends OperatorName>(
    op: K,
    inputs: readonly Value[],
    attributes: Operators[K],
    shape: Shape,
    dtype: ElementType,
  ): Value {
    const output = this.fresh(dtype, shape)
    this.attach({ op, inputs, attributes, outputs: [output] })
    return output
  }

  private unary(op: UnaryOperator, x: Value): Value {
    return this.emit(op, [x], {}, x.shape, x.dtype)
  }

  private binary(
    op: 'Add' | 'Sub' | 'Mul' | 'Div' | 'Max' | 'Greater' | 'GreaterOrEqual' | 'Equal',
    a: Value,
    b: Value | number,
    dtype: ElementType = a.dtype,
  ): Value {
    const right = typeof b === 'number' ? this.numberLike(a, b) : b
    if (right.dtype !== a.dtype) throw wrongShape(op, a.dtype, right.dtype)
    return this.emit(op, [a, right], {}, broadcast(op, a.shape, right.shape), dtype)
  }

  private numberLike(like: Value, value: number): Value {
    return like.dtype === 'int64' ? this.integers(value) : this.cast(this.scalar(value), like.dtype)
  }

  private reduce(
    op: Reduction,
    x: Value,
    axes: readonly number[] | undefined,
    keepdims: boolean,
  ): Value {
    const over = (axes ?? [...x.shape.keys()]).map((axis) => (axis < 0 ? axis + x.rank : axis))
    if (over.length === 0) return x
    const shape = keepdims
      ? x.shape.map((dim, axis) => (over.includes(axis) ? 1 : dim))
      : x.shape.filter((_, axis) => !over.includes(axis))
    return this.emit(op, [x], { axes: over, keepdims }, shape, x.dtype)
  }
}

const FLOAT_TYPES: ReadonlySet<ElementType> = new Set<FloatType>(['float32', 'float16', 'bfloat16'])

/** Whether a gradient can flow to a value. */
export function isFloat({ dtype }: Value): boolean {
  return FLOAT_TYPES.has(dtype)
}

/** Nodes that `results` depend on, within any scope. */
export function reachable(results: readonly Value[]): Set<Node> {
  const needed = new Set<Node>()
  const pending = [...results]
  for (let value = pending.pop(); value; value = pending.pop()) {
    const { node } = value
    if (node === null || needed.has(node)) continue
    needed.add(node)
    pending.push(...node.inputs)
  }
  return needed
}

/** NumPy broadcasting; equal names are equal sizes, and a name never equals a number other than 1. */
function broadcast(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, index) => {
    const left = a[index - rank + a.length] ?? 1
    const right = b[index - rank + b.length] ?? 1
    if (left === 1) return right
    if (right === 1 || left === right) return left
    throw wrongShape(op, a.join('×'), b.join('×'))
  })
}

/** Sizes that are known to differ; names that differ may still stand for equal sizes. */
function sameDim(a: Dim, b: Dim): boolean {
  return a === b || typeof a === 'string' || typeof b === 'string'
}

function lastTwo(shape: Shape): [Dim, Dim] {
  return [shape.at(-2) ?? 1, shape.at(-1) ?? 1]
}

function swapped(shape: Shape): [Dim, Dim] {
  const [rows, columns] = lastTwo(shape)
  return [columns, rows]
}

function dimAt(x: Value, axis: number): Dim {
  const dim = x.shape[axis]
  if (dim === undefined) throw wrongShape('axis', `an axis of ${show(x)}`, String(axis))
  return dim
}

function show(x: Value): string {
  return `[${x.shape.join(', ')}]`
}

/** Building a graph from the wrong shapes is a programming error, never the user's. */
function wrongShape(op: string, expected: string, actual: string): AppError {
  return new AppError('bug', `${op}: expected ${expected}, found ${actual}.`, {
    context: { stage: op, expected, actual },
  })
}
