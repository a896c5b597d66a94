/**
 * @file The graphs of a training step: a layer's backward pass, which computes the layer again from its input; the slope
 * of the loss at the model's end; all layers and the end in one; AdamW.
 */
import type { Architecture } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import {
  decoderLayer,
  inputLayer,
  LAYER_IO,
  shapeKey,
  tableShapes,
  type LayerInputs,
  type LayerShape,
  type TableName,
} from '../decoder/decoderLayer'
import { HEAD_IO, inputHead, logitSlopes, logitsOf } from '../decoder/head'
import { normOf } from '../decoder/norms'
import { vjp } from '../onnx/gradients'
import { Graph, type Value } from '../onnx/graph'
import { adamw, STATE_PARTS, type AdamWSettings } from '../training/adamw'

interface Model {
  readonly architecture: Architecture
  readonly config: ModelConfig
}

/** The loss's slope at a layer's output, which goes in, and at its input, which comes out. */
export const SLOPE_IO = { above: 'slope', below: 'slope.below' } as const

/** Output: Σ of the squares of all gradients of the graph's layer (or layers). */
export const SQUARES = 'squares'

/** The output with the loss's gradient with respect to a weight. */
export const gradientOf = (weight: string): string => `gradient/${weight}`
/** The input that it is added to. */
export const gradientBefore = (weight: string): string => `before/${weight}`

export interface BackwardOptions {
  /** Weights whose gradients are wanted, by the names of `layerInputs`. */
  readonly trained: readonly string[]
  /** Whether the slope at the input is. */
  readonly passesOn: boolean
  /** Whether gradients are added to those of the micro-batches before. */
  readonly accumulates: boolean
}

/**
 * A layer's backward pass. Inputs: those of `buildDecoderLayer`, `slope` `['batch', length, hiddenSize]`, and with
 * `accumulates` `before/NAME` for each trained weight. Outputs: `slope.below` (as `slope`), `gradient/NAME` in the shape
 * of the weight, `squares` `[]` where anything is trained. All float32.
 */
export function buildLayerBackward(
  { architecture, config }: Model,
  shape: LayerShape,
  { trained, passesOn, accumulates }: BackwardOptions,
): Graph {
  const g = new Graph()
  const inputs = inputLayer(g, config, architecture, shape)
  const slope = g.input(SLOPE_IO.above, ['batch', shape.length, config.hiddenSize])
  const next = decoderLayer(g, config, architecture, shape, inputs)
  const weights = trained.map((name) => inputs.weights.get(name)!)
  const results = vjp(g, [next], [slope], [...(passesOn ? [inputs.hidden] : []), ...weights])
  if (passesOn) g.output(SLOPE_IO.below, results.shift()!)
  outputGradients(g, weights, results, accumulates)
  return g
}

function outputGradients(
  g: Graph,
  weights: readonly Value[],
  gradients: readonly Value[],
  accumulates: boolean,
): void {
  const totals = gradients.map((gradient, index) => {
    const { name, shape } = weights[index]!
    return accumulates ? plus(g, g.input(gradientBefore(name), shape), gradient) : gradient
  })
  totals.forEach((total, index) => g.output(gradientOf(weights[index]!.name), total))
  const squares = totals.map((total) => g.sumSquares(total))
  if (squares.length > 0)
    g.output(
      SQUARES,
      squares.reduce((a, b) => g.add(a, b)),
    )
}

/** A sum, as one operator where the second term is a product: it may then be computed in the first one's place. */
function plus(g: Graph, before: Value, term: Value): Value {
  if (term.node?.op !== 'Gemm' || term.node.inputs.length > 2) return g.add(before, term)
  const [a, b] = term.node.inputs
  const { transA, transB, alpha } = term.node.attributes as Record<'transA' | 'transB', boolean> & {
    readonly alpha: number
  }
  return a && b ? g.gemm(a, b, { transA, transB, alpha, c: before }) : g.add(before, term)
}

/** Names of what the graphs of the model's end take and give beside {@link HEAD_IO}. */
export const LOSS_IO = {
  /** `['rows', 1]`: a row's part in the loss, 1 / predicted tokens; 0 where it predicts nothing. */
  share: 'share',
  /** `['rows', 1]`: −ln p of each row's target. */
  nll: 'nll',
  /** `['rows', 1]`: ln Σ exp(logit) over the whole vocabulary. */
  logSum: 'log_sum',
  /** `['rows', 1]`: as `share`, 0 where the target is in another tile. */
  here: 'here',
  /** `['rows', hiddenSize]`: the slope at the output of the final norm. */
  before: 'before',
  after: 'after',
} as const

/**
 * Loss and slope where the output matrix is in one piece. Inputs: as `buildScoringHead`, and `share`. Outputs: `nll` and
 * `slope`, the slope at `hidden` and of its shape.
 */
export function buildLossHead(model: Model, length?: number): Graph {
  const g = new Graph()
  const { hidden, normed, matrix } = inputHead(g, model, { length })
  const { nll, slope } = lossOf(g, model, normed, matrix)
  g.output(LOSS_IO.nll, nll)
  g.output(SLOPE_IO.above, vjp(g, [normed], [slope], [hidden])[0]!)
  return g
}

/**
 * The cross-entropy in closed form: with e = exp(logit − max) and z = Σ e, nll = ln z + max − logit(target), and its
 * slope at `normed` is (e·W)·share/z − W[target]·share, each row of W times the logit's own slope. No one-hot, and no
 * derivative of the maximum, which would cancel.
 */
function lossOf(
  g: Graph,
  model: Model,
  normed: Value,
  matrix: Value,
): { nll: Value; slope: Value } {
  const target = g.input(HEAD_IO.target, ['rows', 1], 'int64')
  const share = g.input(LOSS_IO.share, ['rows', 1])
  const logits = logitsOf(g, model, g.linear(normed, matrix))
  const max = g.reduceMax(logits, [1], true)
  const e = g.exp(g.sub(logits, max))
  const z = g.sum(e, [1], true)
  const nll = g.sub(g.add(g.log(z), max), g.gatherLast(logits, target))
  const { factor, slopes } = logitSlopes(g, model, logits)
  const mean = g.mul(g.gemm(slopes ? g.mul(e, slopes) : e, matrix), g.div(share, z))
  const picked = g.gather(matrix, g.squeeze(target, [1]))
  const own = slopes ? g.mul(share, g.gatherLast(slopes, target)) : share
  const slope = g.sub(mean, g.mul(picked, own))
  return { nll, slope: factor === 1 ? slope : g.mul(slope, factor) }
}

/**
 * A tile's part of the slope at the output of the final norm, once the whole vocabulary has been scored. Inputs: `hidden`,
 * `norm`, `matrix` (some of the output matrix's rows), `target` (places in the tile), `share`, `here`, `log_sum` and
 * `before`. Output: `after`, the sum of this and `before`.
 */
export function buildTileSlope(model: Model, length?: number): Graph {
  const g = new Graph()
  const { normed, matrix } = inputHead(g, model, { length })
  const column = (name: string): Value => g.input(name, ['rows', 1])
  const target = g.input(HEAD_IO.target, ['rows', 1], 'int64')
  const logits = logitsOf(g, model, g.linear(normed, matrix))
  const p = g.exp(g.sub(logits, column(LOSS_IO.logSum)))
  const { factor, slopes } = logitSlopes(g, model, logits)
  const before = g.input(LOSS_IO.before, ['rows', model.config.hiddenSize])
  const scaled = (x: Value): Value => (factor === 1 ? x : g.mul(x, factor))
  const pulls = g.mul(slopes ? g.mul(p, slopes) : p, scaled(column(LOSS_IO.share)))
  const sum = g.gemm(pulls, matrix, { c: before })
  const picked = g.gather(matrix, g.squeeze(target, [1]))
  const here = scaled(column(LOSS_IO.here))
  const own = slopes ? g.mul(here, g.gatherLast(slopes, target)) : here
  g.output(LOSS_IO.after, g.sub(sum, g.mul(picked, own)))
  return g
}

/** Takes a slope through the final norm. Inputs: `hidden`, `norm`, `before`. Output: `slope`, of the shape of `hidden`. */
export function buildNormSlope({ architecture, config }: Model, length?: number): Graph {
  const g = new Graph()
  const { hiddenSize, rmsNormEps } = config
  const hidden = g.input(
    HEAD_IO.hidden,
    length === undefined ? ['rows', hiddenSize] : ['batch', length, hiddenSize],
  )
  const rows = length === undefined ? hidden : g.reshape(hidden, ['rows', hiddenSize])
  const norm = g.input(HEAD_IO.norm, [hiddenSize])
  const normed = normOf(architecture)(g, rows, norm, rmsNormEps)
  const before = g.input(LOSS_IO.before, ['rows', hiddenSize])
  g.output(SLOPE_IO.above, vjp(g, [normed], [before], [hidden])[0]!)
  return g
}

/** A layer of {@link buildUpperPart}. */
export interface UpperLayer {
  readonly layer: number
  readonly shape: LayerShape
  /** As of {@link BackwardOptions}. */
  readonly trained: readonly string[]
}

/** What tables are called that belong to a shape, where a graph holds layers of several. */
export const tableOf = (shape: LayerShape, name: string): string => `${name}/${shapeKey(shape)}`
/** What a weight is called in a graph of several layers. */
export const weightOf = (layer: number, name: string): string => `${layer}/${name}`

/**
 * All layers from the lowest trained one on and the model's end, forward and backward, so that nothing has to be computed
 * twice. Inputs: `hidden` `['batch', length, hiddenSize]` before the first of `layers`; each shape's tables (`tableOf`);
 * every layer's weights (`weightOf`); `norm`, `matrix`, `target`, `share`. Outputs: `nll`, `gradient/LAYER/NAME`, `squares`.
 */
export function buildUpperPart(
  { architecture, config }: Model,
  length: number,
  layers: readonly UpperLayer[],
  accumulates: boolean,
): Graph {
  const g = new Graph()
  const { hiddenSize, rmsNormEps } = config
  let hidden = g.input(LAYER_IO.input, ['batch', length, hiddenSize])
  const tables = new Map<string, Tables>()
  const weights: Value[] = []
  for (const { layer, shape, trained } of layers) {
    const key = tableOf(shape, '')
    const known = tables.get(key) ?? renamedTables(g, config, shape)
    tables.set(key, known)
    const prefix = weightOf(layer, '')
    const inputs = inputLayer(g, config, architecture, shape, { ...known, hidden, prefix })
    weights.push(...trained.map((name) => inputs.weights.get(name)!))
    hidden = decoderLayer(g, config, architecture, shape, inputs)
  }
  const rows = g.reshape(hidden, ['rows', hiddenSize])
  const norm = g.input(HEAD_IO.norm, [hiddenSize])
  const matrix = g.input(HEAD_IO.matrix, ['vocab', hiddenSize])
  const normed = normOf(architecture)(g, rows, norm, rmsNormEps)
  const { nll, slope } = lossOf(g, { architecture, config }, normed, matrix)
  g.output(LOSS_IO.nll, nll)
  outputGradients(g, weights, vjp(g, [normed], [slope], weights), accumulates)
  return g
}

type Tables = Pick<LayerInputs, TableName>

function renamedTables(g: Graph, config: ModelConfig, shape: LayerShape): Tables {
  return Object.fromEntries(
    tableShapes(config, shape).map(([name, dims]) => [name, g.input(tableOf(shape, name), dims)]),
  )
}

/** What AdamW's graph takes beside the optimiser's state and its scalars. */
export const UPDATE_IO = { gradient: 'gradient', clip: 'clip' } as const

/**
 * AdamW on a tensor of any size. Inputs: `value`, `first`, `second`, `gradient`, of `rank` symbolic dimensions; `scale`,
 * `offset`, `kept` (see `adamwScalars`) and `clip`, which the gradient is multiplied by, `[1]` each. Outputs: `NAME.next`
 * of the first three.
 */
export function buildUpdate(rank: number, settings: Pick<AdamWSettings, 'beta1' | 'beta2'>): Graph {
  const g = new Graph()
  const dims = Array.from({ length: rank }, (_, axis) => `d${axis}`)
  const whole = (name: string): Value => g.input(name, dims)
  const scalar = (name: string): Value => g.input(name, [1])
  const state = { value: whole('value'), first: whole('first'), second: whole('second') }
  const scalars = { scale: scalar('scale'), offset: scalar('offset'), kept: scalar('kept') }
  const gradient = g.mul(whole(UPDATE_IO.gradient), scalar(UPDATE_IO.clip))
  const next = adamw(g, state, gradient, scalars, settings)
  for (const part of STATE_PARTS) g.output(`${part}.next`, next[part])
  return g
}
