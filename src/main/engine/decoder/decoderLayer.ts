/**
 * @file One decoder layer as a graph: attention with rotary positions and grouped queries, or a short convolution, then an
 * MLP, each between norms.
 * What varies by family is asked of the architecture. Every operator in it has a gradient rule, so the same expression
 * serves training.
 */
import { AppError } from '@shared/errors'
import type { Architecture, Slot, Span } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import type { LayerRope, RopeConfig } from '../architectures/ropeConfig'
import { Graph, type Shape, type Value } from '../onnx/graph'
import { mixture } from './experts'
import { normOf } from './norms'
import { CONVOLUTION_OUTPUT, keptByConvolution, shortConvolution } from './shortConvolution'

/** Queries that are scored against their keys at once: bounds the scores, and skips keys that none of them sees. */
export const QUERY_CHUNK = 128

/**
 * Stands for minus infinity in masks: it leaves nothing of a key after the softmax, and unlike an infinity it is safe
 * in shaders.
 */
export const HIDDEN = -1e30

/** The names of {@link buildDecoderLayer}'s inputs and output; its weights are {@link layerInputs}. */
export const LAYER_IO = {
  input: 'hidden',
  cos: 'cos',
  sin: 'sin',
  growth: 'growth',
  mask: 'mask',
  output: 'next',
} as const

/** Inputs that depend on nothing but the layer's shape and the tokens' places. */
export type TableName = 'cos' | 'sin' | 'growth' | 'mask'

export interface LayerShape {
  /** Tokens of every sequence. */
  readonly length: number
  /** How many keys a query sees, itself included; `null` for all before it. */
  readonly window: number | null
  /** How queries and keys are turned; as most layers' without it. */
  readonly rope?: LayerRope
  /** A layer with the same tensors, as of `Architecture.formOf`; the first layer without it. */
  readonly form?: number
}

/** Tells shapes apart, in the names of kernels and tables. */
export function shapeKey({ length, window, rope = 'main', form = 0 }: LayerShape): string {
  return `${length}/${window}/${rope}${form === 0 ? '' : `/${form}`}`
}

/** Whether a layer of the shape has a convolution in place of attention. */
export function isConvolution({ convolution }: ModelConfig, { form = 0 }: LayerShape): boolean {
  return convolution?.isConvolution[form] === true
}

/** The angles of a layer; `null` where nothing is turned. */
export function ropeOf(config: ModelConfig, shape: LayerShape): RopeConfig | null {
  const { rope = 'main' } = shape
  if (rope === 'none' || isConvolution(config, shape)) return null
  return rope === 'local' ? config.localRope : config.rope
}

/** The dimensions of a layer's tables: those that its graph takes. A convolution takes none. */
export function tableShapes(
  config: ModelConfig,
  shape: LayerShape,
): readonly (readonly [name: TableName, dims: readonly number[]])[] {
  if (isConvolution(config, shape)) return []
  const { length } = shape
  const rope = ropeOf(config, shape)
  const angles = rope ? ([length, rope.dim / 2] as const) : null
  return [
    ...(angles
      ? ([
          ['cos', angles],
          ['sin', angles],
        ] as const)
      : []),
    ...(config.queryGrowth ? ([['growth', [length, 1]]] as const) : []),
    ['mask', [queryChunk(length), maskWidth(shape)]],
  ]
}

/** The dimensions of what a layer keeps of one sequence's tokens, `'past'` as many of them as there are. */
export function keptShapes(
  config: ModelConfig,
  shape: LayerShape,
): readonly (readonly [name: string, dims: Shape])[] {
  if (isConvolution(config, shape)) return keptByConvolution(config)
  const dims = [1, config.numKeyValueHeads, 'past', config.headDim]
  return [
    [KEPT.keys, dims],
    [KEPT.values, dims],
  ]
}

/** A weight of the layer as an input of its graph, and where its values lie. */
export interface LayerInput extends Span {
  /** `q_proj.weight`, `q_proj.bias`, `input_layernorm.weight` */
  readonly name: string
}

/**
 * The weights that a layer's graph takes: slots, each on its own, and what lies in none, norms above all. A fused tensor is
 * split where it is fed, by views of what was read: slicing it in the graph would copy it in every run.
 */
export function layerInputs(
  architecture: Architecture,
  config: ModelConfig,
  layer: number,
): LayerInput[] {
  const slots = architecture
    .slotsOf(config, layer)
    .flatMap((slot) => [
      { name: `${inputName(slot)}.weight`, ...slot.weight },
      ...(slot.bias === null ? [] : [{ name: `${inputName(slot)}.bias`, ...slot.bias }]),
    ])
  const inSlots = new Set(slots.map(({ tensor }) => tensor))
  const others = architecture
    .layerTensors(config, layer)
    .filter(({ suffix }) => !inSlots.has(suffix))
    .map(({ suffix, shape }) => ({ name: suffix, tensor: suffix, offset: 0, shape }))
  return [...slots, ...others]
}

/** `q_proj`; of an expert's, `experts.3.gate_proj`. */
export function inputName({ id, expert }: Pick<Slot, 'id' | 'expert'>): string {
  return expert === null ? id : id.replace('.', `.${expert}.`)
}

export interface LayerInputs {
  /** `[batch, length, hiddenSize]`, the batch known or symbolic. */
  readonly hidden: Value
  /** By the names of {@link layerInputs}. */
  readonly weights: ReadonlyMap<string, Value>
  /** `cos` and `sin`, see `ropeTables`, where the layer has positions. */
  readonly cos?: Value
  readonly sin?: Value
  /** What queries are multiplied by, in models whose scores grow with the position. */
  readonly growth?: Value
  /** {@link attentionMask}; with `past`, `[length, past + length]`, a row for each query. Where the layer attends. */
  readonly mask?: Value
  /** Of the tokens that come before these. */
  readonly past?: LayerPast
}

/** What a layer keeps of tokens for those that follow, by the names of {@link keptShapes}. */
export type LayerPast = Readonly<Record<string, Value>>

/** What attention keeps, each `[batch, numKeyValueHeads, tokens, headDim]`; keys are turned by their positions' angles. */
const KEPT = { keys: 'keys', values: 'values' } as const

/**
 * A graph of one layer. Inputs: `hidden` `['batch', length, hiddenSize]`, its tables ({@link tableShapes}), and
 * {@link layerInputs}. Output: `next`, the shape of `hidden`. All float32.
 *
 * @throws AppError `unsupported_architecture` for an activation that is not known.
 */
export function buildDecoderLayer(
  config: ModelConfig,
  architecture: Architecture,
  shape: LayerShape,
): Graph {
  const g = new Graph()
  const inputs = inputLayer(g, config, architecture, shape)
  g.output(LAYER_IO.output, decoderLayer(g, config, architecture, shape, inputs))
  return g
}

/**
 * A layer's inputs, as {@link buildDecoderLayer} has them.
 *
 * @param given Those that are values of the graph already; a layer that has its weights under other names has `prefix`.
 */
export function inputLayer(
  g: Graph,
  config: ModelConfig,
  architecture: Architecture,
  shape: LayerShape,
  { prefix = '', ...given }: Partial<LayerInputs> & { readonly prefix?: string } = {},
): LayerInputs {
  const tables = Object.fromEntries(
    tableShapes(config, shape).map(([name, dims]) => [name, given[name] ?? g.input(name, dims)]),
  ) as Pick<LayerInputs, TableName>
  return {
    hidden: given.hidden ?? g.input(LAYER_IO.input, ['batch', shape.length, config.hiddenSize]),
    ...tables,
    weights:
      given.weights ??
      new Map(
        layerInputs(architecture, config, shape.form ?? 0).map(({ name, shape: dims }) => [
          name,
          g.input(`${prefix}${name}`, dims),
        ]),
      ),
  }
}

/** The layer as an expression, for graphs of more than one layer. Returns the shape of `hidden`. */
export function decoderLayer(
  g: Graph,
  config: ModelConfig,
  architecture: Architecture,
  shape: LayerShape,
  inputs: LayerInputs,
): Value {
  return layerParts(g, config, architecture, shape, inputs).next
}

/** What a layer computes on its way; `rows` are all tokens of all sequences. */
export interface LayerParts {
  /** `[rows, numAttentionHeads · headDim]`: what `o_proj` is applied to; `[rows, hiddenSize]` of a convolution. */
  readonly context: Value
  /** `[rows, hiddenSize]`: what `o_proj` or `conv.out_proj` gives, before any norm or factor. */
  readonly attention: Value
  /** `[rows, intermediateSize]`: what `down_proj` is applied to; of a layer with experts, `[rows, hiddenSize]`, what they see. */
  readonly features: Value
  /** `[rows, hiddenSize]`: what `down_proj` gives. */
  readonly mlp: Value
  /** Of the shape of `hidden`. */
  readonly next: Value
  /** Of all tokens so far: those of `past`, then these. */
  readonly kept: LayerPast
}

/**
 * The layer with its parts.
 *
 * @param isIdentity Both output matrices are zero: neither is applied, and `attention` and `mlp` are the stream itself.
 */
export function layerParts(
  g: Graph,
  config: ModelConfig,
  architecture: Architecture,
  shape: LayerShape,
  { hidden, weights, past, ...tables }: LayerInputs,
  { isIdentity = false }: { readonly isIdentity?: boolean } = {},
): LayerParts {
  const { length } = shape
  const { hiddenSize, scales } = config
  const [batch = 1] = hidden.shape
  const rows = typeof batch === 'number' ? batch * length : 'rows'
  const { forward } = architecture
  const weight = (name: string): Value => required(weights, `${name}.weight`)
  const normalise = normOf(architecture)
  const norm = (x: Value, name: string | null): Value =>
    name === null ? x : normalise(g, x, weight(name), config.rmsNormEps)
  const added = (x: Value, branch: Value, afterwards: string | null): Value => {
    const normed = norm(branch, afterwards)
    return g.add(x, scales.residual === 1 ? normed : g.mul(normed, scales.residual))
  }
  const project = (x: Value, slot: string): Value =>
    g.linear(x, weight(slot), weights.get(`${slot}.bias`))
  const act = activation(config.hiddenAct)
  /** What a `down_proj` is applied to. */
  const featuresOf = (x: Value, of = ''): Value => {
    const up = project(x, `${of}up_proj`)
    const hasGate = weights.has(`${of}gate_proj.weight`)
    return hasGate ? g.mul(act(g, project(x, `${of}gate_proj`)), up) : act(g, up)
  }

  const residual = g.reshape(hidden, [rows, hiddenSize])
  const x = norm(residual, forward.beforeAttention)
  const convolves = isConvolution(config, shape)
  const mixing = { x, dims: hidden.shape, weights, project, past }
  const { context, kept } = convolves
    ? shortConvolution(g, architecture, mixing)
    : attention(g, config, architecture, shape, { ...mixing, ...tables, norm })
  const mixed = isIdentity ? residual : project(context, convolves ? CONVOLUTION_OUTPUT : 'o_proj')
  const middle = isIdentity ? residual : added(residual, mixed, forward.afterAttention)

  const y = norm(middle, forward.beforeMlp)
  const isSparse = config.experts?.isSparse[shape.form ?? 0] === true
  const features = isSparse ? y : featuresOf(y)
  const throughMlp = (): Value =>
    isSparse
      ? mixture(g, config, architecture, {
          x: y,
          weight,
          mlp: (z, of) => project(featuresOf(z, `${of}.`), `${of}.down_proj`),
        })
      : project(features, 'down_proj')
  const mlp = isIdentity ? residual : throughMlp()
  const next = isIdentity
    ? hidden
    : g.reshape(added(middle, mlp, forward.afterMlp), [batch, length, hiddenSize])
  return { context, attention: mixed, features, mlp, next, kept }
}

/** What takes part in mixing a layer's tokens. */
interface MixingInputs extends Omit<LayerInputs, 'hidden' | 'past'> {
  /** `[rows, hiddenSize]`, behind the norm where there is one. */
  readonly x: Value
  /** The shape of `hidden`. */
  readonly dims: Shape
  readonly project: (x: Value, slot: string) => Value
  readonly past?: LayerPast | undefined
  /** By the name of its module; `null` for none. */
  readonly norm: (x: Value, name: string | null) => Value
}

/** What `o_proj` is applied to, and what is kept of all tokens so far. */
function attention(
  g: Graph,
  config: ModelConfig,
  { forward }: Architecture,
  shape: LayerShape,
  { x, dims, project, norm, past, mask, ...tables }: MixingInputs,
): Pick<LayerParts, 'context' | 'kept'> {
  const { length } = shape
  const { headDim, numKeyValueHeads: groups, scales } = config
  const [batch = 1] = dims
  const [rows = 1] = x.shape
  const repeat = config.numAttentionHeads / groups
  if (!mask) throw new AppError('bug', 'The decoder layer lacks its mask.')
  const bounded = (y: Value): Value => within(g, y, scales.projectionBound)
  const { queries = null, keys = null, over = 'head' } = forward.queryKeyNorms ?? {}
  const turn = (y: Value): Value => turned(g, y, tables, forward.ropePairs)
  /** Heads on axes of their own, then their positions' turn, and a norm at its place among these. */
  const heads = (
    slot: string,
    name: string | null,
    dims: Shape,
    perm: readonly number[],
  ): Value => {
    const projected = project(x, slot)
    const whole = bounded(over === 'projection' ? norm(projected, name) : projected)
    const apart = g.reshape(whole, dims)
    const placed = turn(g.transpose(over === 'head' ? norm(apart, name) : apart, perm))
    return over === 'turned_head' ? norm(placed, name) : placed
  }
  // Query head h belongs to key/value head ⌊h / repeat⌋, so the heads split into groups without moving keys or values.
  const queryDims = [batch, length, groups, repeat, headDim]
  const keyDims = [batch, length, groups, headDim]
  const q = g.mul(heads('q_proj', queries, queryDims, [0, 2, 3, 1, 4]), scales.queries)
  const here = heads('k_proj', keys, keyDims, [0, 2, 1, 3])
  const values = g.transpose(g.reshape(bounded(project(x, 'v_proj')), keyDims), [0, 2, 1, 3])
  const kept = past
    ? {
        keys: g.concat([past[KEPT.keys]!, here], 2),
        values: g.concat([past[KEPT.values]!, values], 2),
      }
    : { keys: here, values }
  const attends = {
    q: tables.growth ? g.mul(q, tables.growth) : q,
    k: kept.keys,
    v: kept.values,
    mask,
    cap: scales.attentionCap,
  }
  const attended = past ? attendToAll(g, attends) : attend(g, shape, attends)
  const context = g.reshape(g.transpose(attended, [0, 3, 1, 2, 4]), [
    rows,
    groups * repeat * headDim,
  ])
  return { context, kept }
}

type KeysSeen = Pick<LayerShape, 'length' | 'window'>

/** How many queries a chunk has for sequences of this length. */
export function queryChunk(length: number): number {
  return Math.min(length, QUERY_CHUNK)
}

/**
 * The mask that is added to the scores of a chunk of queries, `[chunk, width]`: its last row is the chunk's last query
 * and its last column that query's own key, so every chunk takes as many of the last rows and columns as it has queries
 * and keys, and one table serves them all.
 */
export function attentionMask(shape: KeysSeen): Float32Array {
  const chunk = queryChunk(shape.length)
  const width = maskWidth(shape)
  const mask = new Float32Array(chunk * width)
  for (let query = 0; query < chunk; query += 1) {
    for (let column = 0; column < width; column += 1) {
      // Positions counted from the chunk's first query.
      const key = column - (width - chunk)
      const isSeen = key <= query && (shape.window === null || key > query - shape.window)
      if (!isSeen) mask[query * width + column] = HIDDEN
    }
  }
  return mask
}

/** The most keys that one chunk of queries sees. */
export function maskWidth({ length, window }: KeysSeen): number {
  return window === null ? length : Math.min(length, queryChunk(length) + window - 1)
}

interface AttentionInputs {
  /** `[batch, groups, repeat, length, headDim]`, scaled. */
  readonly q: Value
  /** `[batch, groups, keys, headDim]`, as are the values; as many keys as queries where nothing comes before. */
  readonly k: Value
  readonly v: Value
  readonly mask: Value
  /** As of `ModelScales`. */
  readonly cap: number | null
}

/** Causal attention, a chunk of queries at a time. Returns the shape of `q`. */
function attend(g: Graph, shape: LayerShape, { q, k, v, mask, cap }: AttentionInputs): Value {
  const { length, window } = shape
  const [batch = 1] = q.shape
  const [groups = 1, repeat = 1, , headDim = 1] = q.shape.slice(1).map(Number)
  const chunk = queryChunk(length)
  const width = maskWidth(shape)
  const keysT = g.transpose(k, [0, 1, 3, 2])
  const cut = (x: Value, axis: number, start: number, end: number): Value =>
    start === 0 && end === Number(x.shape[axis]) ? x : g.slice(x, axis, start, end)
  const parts: Value[] = []
  for (let start = 0; start < length; start += chunk) {
    const end = Math.min(length, start + chunk)
    const queries = end - start
    const first = window === null ? 0 : Math.max(0, start - window + 1)
    const keys = end - first
    const chunkMask = cut(cut(mask, 0, chunk - queries, chunk), 1, width - keys, width)
    const folded = g.reshape(cut(q, 3, start, end), [batch, groups, repeat * queries, headDim])
    const scores = capped(g, g.matmul(folded, cut(keysT, 3, first, end)), cap)
    const weights = g.softmax(
      g.add(g.reshape(scores, [batch, groups, repeat, queries, keys]), chunkMask),
    )
    const mixed = g.matmul(
      g.reshape(weights, [batch, groups, repeat * queries, keys]),
      cut(v, 2, first, end),
    )
    parts.push(g.reshape(mixed, [batch, groups, repeat, queries, headDim]))
  }
  return g.concat(parts, 3)
}

/** Attention of a few queries to all keys that the mask leaves them. Returns the shape of `q`. */
function attendToAll(g: Graph, { q, k, v, mask, cap }: AttentionInputs): Value {
  const [batch = 1] = q.shape
  const [groups = 1, repeat = 1, queries = 1, headDim = 1] = q.shape.slice(1).map(Number)
  const [, , keys = 1] = k.shape
  const folded = g.reshape(q, [batch, groups, repeat * queries, headDim])
  const products = capped(g, g.matmul(folded, g.transpose(k, [0, 1, 3, 2])), cap)
  const scores = g.reshape(products, [batch, groups, repeat, queries, keys])
  const weights = g.reshape(g.softmax(g.add(scores, mask)), [batch, groups, repeat * queries, keys])
  return g.reshape(g.matmul(weights, v), [batch, groups, repeat, queries, headDim])
}

/** Elements that exceed a bound are set to it. */
function within(g: Graph, x: Value, bound: number | null): Value {
  return bound === null ? x : g.neg(g.max(g.neg(g.max(x, -bound)), -bound))
}

/** c·tanh(x/c). */
export function capped(g: Graph, x: Value, cap: number | null): Value {
  return cap === null ? x : g.mul(g.tanh(g.div(x, cap)), cap)
}

/**
 * Turns the pairs of the last axis's first d elements, (x_i, x_{i + d/2}) or (x_2i, x_{2i + 1}), by the position's angles,
 * `cos` and `sin` `[length, d / 2]`; positions lie on the last axis but one. Without angles it is `x`.
 */
function turned(
  g: Graph,
  x: Value,
  { cos, sin }: Pick<LayerInputs, 'cos' | 'sin'>,
  pairs: Architecture['forward']['ropePairs'],
): Value {
  if (!cos || !sin) return x
  const size = Number(x.shape.at(-1))
  const half = Number(cos.shape.at(-1))
  const outer = x.shape.slice(0, -1)
  const isNear = pairs === 'neighbours'
  const [a, b] = [0, 1].map((which) => {
    if (!isNear) return g.slice(x, -1, which * half, (which + 1) * half)
    const apart = g.reshape(g.slice(x, -1, 0, 2 * half), [...outer, half, 2])
    return g.squeeze(g.slice(apart, -1, which, which + 1), [x.rank])
  }) as [Value, Value]
  const both = [g.sub(g.mul(a, cos), g.mul(b, sin)), g.add(g.mul(b, cos), g.mul(a, sin))]
  const front = isNear
    ? [
        g.reshape(
          g.concat(
            both.map((each) => g.unsqueeze(each, [x.rank])),
            x.rank,
          ),
          [...outer, 2 * half],
        ),
      ]
    : both
  const rest = 2 * half === size ? [] : [g.slice(x, -1, 2 * half, size)]
  return g.concat([...front, ...rest], x.rank - 1)
}

type Activation = (g: Graph, x: Value) => Value

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: (g, x) => g.mul(x, g.sigmoid(x)),
  swish: (g, x) => g.mul(x, g.sigmoid(x)),
  relu: (g, x) => g.relu(x),
  relu2: (g, x) => g.square(g.relu(x)),
  gelu: exactGelu,
  gelu_python: exactGelu,
  gelu_pytorch_tanh: tanhGelu,
  gelu_python_tanh: tanhGelu,
  gelu_new: tanhGelu,
  gelu_fast: tanhGelu,
  gelu_accurate: tanhGelu,
  quick_gelu: (g, x) => g.mul(x, g.sigmoid(g.mul(x, 1.702))),
}

/** x times the share of a normal distribution below it. */
function exactGelu(g: Graph, x: Value): Value {
  return g.mul(g.mul(x, 0.5), g.add(g.erf(g.mul(x, Math.SQRT1_2)), 1))
}

/** ½x(1 + tanh u) = x·σ(2u) with u = √(2/π)·(x + 0.044715·x³). */
function tanhGelu(g: Graph, x: Value): Value {
  const inner = g.mul(x, g.add(g.mul(g.square(x), 0.044715), 1))
  return g.mul(x, g.sigmoid(g.mul(inner, 2 * Math.sqrt(2 / Math.PI))))
}

/** @throws AppError `unsupported_architecture` when {@link decoderLayer} does not know the activation. */
export function checkActivation({ hiddenAct }: ModelConfig): void {
  activation(hiddenAct)
}

function activation(name: string): Activation {
  const found = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined
  if (found) return found
  const expected = Object.keys(ACTIVATIONS).join(', ')
  throw new AppError('unsupported_architecture', `The activation "${name}" cannot be evaluated.`, {
    hint: `The model can still be grown and exported. Known activations: ${expected}.`,
    context: { field: 'hidden_act', expected, actual: name },
  })
}

function required(weights: ReadonlyMap<string, Value>, name: string): Value {
  const value = weights.get(name)
  if (value) return value
  throw new AppError('bug', `The decoder layer lacks ${name}.`)
}
