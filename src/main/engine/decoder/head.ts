/** @file The end of the model as graphs: final norm, output matrix, and what the loss needs of the logits. */
import type { Architecture } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import { Graph, type Value } from '../onnx/graph'
import { capped } from './decoderLayer'
import { normOf } from './norms'

/** What the head asks of a checkpoint. */
export interface HeadModel {
  readonly architecture: Architecture
  readonly config: ModelConfig
}

/** Names of the inputs and outputs of {@link buildScoringHead} and {@link buildLogitsHead}. */
export const HEAD_IO = {
  hidden: 'hidden',
  norm: 'norm',
  matrix: 'matrix',
  target: 'target',
  max: 'max',
  sum: 'sum',
  logit: 'logit',
  logits: 'logits',
} as const

/**
 * Scores positions against some rows of the output matrix, so that neither all logits nor the whole matrix need be in
 * memory. Inputs: `hidden` `['rows', hiddenSize]` before the final norm, `norm` `[hiddenSize]`, `matrix`
 * `['vocab', hiddenSize]`, `target` int64 `['rows', 1]`. Outputs, each `['rows', 1]`: the largest logit `max`, `sum` of
 * exp(logit − max), and the target's `logit`.
 *
 * @param length Tokens of a sequence where `hidden` is `['batch', length, hiddenSize]`.
 */
export function buildScoringHead(model: HeadModel, length?: number): Graph {
  const g = new Graph()
  const logits = headLogits(g, model, length)
  const target = g.input(HEAD_IO.target, ['rows', 1], 'int64')
  const max = g.reduceMax(logits, [1], true)
  g.output(HEAD_IO.max, max)
  g.output(HEAD_IO.sum, g.sum(g.exp(g.sub(logits, max)), [1], true))
  g.output(HEAD_IO.logit, g.gatherLast(logits, target))
  return g
}

/** As {@link buildScoringHead}, with the logits themselves as the output: `['rows', 'vocab']`. */
export function buildLogitsHead(model: HeadModel): Graph {
  const g = new Graph()
  g.output(HEAD_IO.logits, headLogits(g, model))
  return g
}

function headLogits(g: Graph, model: HeadModel, length?: number): Value {
  const { normed, matrix } = inputHead(g, model, { length })
  return logitsOf(g, model, g.linear(normed, matrix))
}

/** What a model makes of its products with the output matrix: scaled, and bounded where it has a bound. */
export function logitsOf(g: Graph, { config }: HeadModel, products: Value): Value {
  const { logits, logitCap } = config.scales
  return capped(g, logits === 1 ? products : g.mul(products, logits), logitCap)
}

/**
 * ∂logit/∂product at each of {@link logitsOf}'s results: `factor`, the same for all, times `slopes`, of the results' shape
 * and `null` where they are all 1.
 */
export function logitSlopes(
  g: Graph,
  { config }: HeadModel,
  logits: Value,
): { readonly factor: number; readonly slopes: Value | null } {
  const { logits: factor, logitCap } = config.scales
  if (logitCap === null) return { factor, slopes: null }
  // d c·tanh(x/c)/dx = 1 − tanh²(x/c)
  return { factor, slopes: g.add(g.neg(g.square(g.div(logits, logitCap))), 1) }
}

/**
 * The head's inputs as values: `hidden` as it is fed, its rows `normed`, and the output matrix.
 *
 * @param length As of {@link buildScoringHead}.
 * @param prefix Of the inputs' names.
 */
export function inputHead(
  g: Graph,
  { architecture, config }: HeadModel,
  { length, prefix = '' }: { readonly length?: number | undefined; readonly prefix?: string } = {},
): { readonly hidden: Value; readonly normed: Value; readonly matrix: Value } {
  const { hiddenSize, rmsNormEps } = config
  const isFlat = length === undefined
  const hidden = g.input(
    prefix + HEAD_IO.hidden,
    isFlat ? ['rows', hiddenSize] : ['batch', length, hiddenSize],
  )
  const rows = isFlat ? hidden : g.reshape(hidden, ['rows', hiddenSize])
  const norm = g.input(prefix + HEAD_IO.norm, [hiddenSize])
  const matrix = g.input(prefix + HEAD_IO.matrix, ['vocab', hiddenSize])
  return { hidden, normed: normOf(architecture)(g, rows, norm, rmsNormEps), matrix }
}

/** Merges the outcomes of {@link buildScoringHead} over parts of the vocabulary, in float64. */
export class TargetScores {
  readonly #max: Float64Array
  readonly #sum: Float64Array
  readonly #logit: Float64Array

  constructor(positions: number) {
    this.#max = new Float64Array(positions).fill(-Infinity)
    this.#sum = new Float64Array(positions)
    this.#logit = new Float64Array(positions)
  }

  /** Adds one part's largest logit and Σ exp(logit − max); `logit` is null where the target is in another part. */
  add(position: number, max: number, sum: number, logit: number | null): void {
    const before = this.#max[position] ?? -Infinity
    const after = Math.max(before, max)
    const rest = (this.#sum[position] ?? 0) * Math.exp(before - after)
    this.#sum[position] = rest + sum * Math.exp(max - after)
    this.#max[position] = after
    if (logit !== null) this.#logit[position] = logit
  }

  /** ln Σ exp(logit) over the vocabulary. */
  logSum(position: number): number {
    return (this.#max[position] ?? NaN) + Math.log(this.#sum[position] ?? NaN)
  }

  /** −ln p of the position's target. */
  nll(position: number): number {
    return this.logSum(position) - (this.#logit[position] ?? NaN)
  }
}
