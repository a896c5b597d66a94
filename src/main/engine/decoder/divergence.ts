/** @file How two models' predictions at the same positions differ, a part of the vocabulary at a time. */
import { Graph, type Value } from '../onnx/graph'
import { HEAD_IO, inputHead, logitsOf, TargetScores, type HeadModel } from './head'

/** Which of the two models an input or output of {@link buildDivergenceHead} is of. */
export const SIDES = ['base', 'model'] as const
export type Side = (typeof SIDES)[number]

export function sided(side: Side, name: string): string {
  return `${side}/${name}`
}

/** What {@link buildDivergenceHead} has beside the inputs and outputs of both models' heads. */
export const DIVERGENCE_IO = { index: 'index', top: 'top', cross: 'cross' } as const

/** Above every index. */
const NO_INDEX = 3e38

/**
 * Both models' scores against the same rows of their output matrices, and what their distributions have in common. Inputs:
 * those of `buildScoringHead` for each side (`sided`), one `target` int64 `['rows', 1]`, and `index` `['vocab']`, the rows'
 * numbers as float32. Outputs, each `['rows', 1]`: for each side the largest logit `max`, where it stands (`top`, the first
 * if there are several), `sum` of exp(logit − max) and the target's `logit`; and
 * `cross` = Σ exp(l − max l) · ((l − max l) − (k − max k)) with the base's logits l and the model's k, from which
 * KL(base ‖ model) follows ({@link PairScores}).
 */
export function buildDivergenceHead(base: HeadModel, model: HeadModel): Graph {
  const g = new Graph()
  const target = g.input(HEAD_IO.target, ['rows', 1], 'int64')
  const index = g.input(DIVERGENCE_IO.index, ['vocab'])
  const one = scoreSide(g, 'base', base, target, index)
  const other = scoreSide(g, 'model', model, target, index)
  const apart = g.sub(one.shifted, other.shifted)
  g.output(DIVERGENCE_IO.cross, g.sum(g.mul(one.weights, apart), [1], true))
  return g
}

function scoreSide(
  g: Graph,
  side: Side,
  model: HeadModel,
  target: Value,
  index: Value,
): { readonly shifted: Value; readonly weights: Value } {
  const { normed, matrix } = inputHead(g, model, { prefix: sided(side, '') })
  const logits = logitsOf(g, model, g.linear(normed, matrix))
  const max = g.reduceMax(logits, [1], true)
  const shifted = g.sub(logits, max)
  const weights = g.exp(shifted)
  const places = g.where(g.equal(logits, max), index, g.scalar(NO_INDEX))
  g.output(sided(side, HEAD_IO.max), max)
  g.output(sided(side, HEAD_IO.sum), g.sum(weights, [1], true))
  g.output(sided(side, HEAD_IO.logit), g.gatherLast(logits, target))
  g.output(sided(side, DIVERGENCE_IO.top), g.reduceMin(places, [1], true))
  return { shifted, weights }
}

/** One part's outcomes for a position and a side; `logit` is null where the target is in another part. */
export interface SideOutcome {
  readonly max: number
  readonly sum: number
  readonly logit: number | null
  /** The most likely token. */
  readonly top: number
}

/** Merges the outcomes of {@link buildDivergenceHead} over parts of the vocabulary, in float64. */
export class PairScores {
  /** −ln p of each position's target. */
  readonly base: TargetScores
  readonly model: TargetScores
  readonly #max: Record<Side, Float64Array>
  readonly #top: Record<Side, Int32Array>
  /** Σ exp(l − max l), and Σ exp(l − max l)·(l − k), over the parts so far. */
  readonly #sum: Float64Array
  readonly #cross: Float64Array

  constructor(positions: number) {
    this.base = new TargetScores(positions)
    this.model = new TargetScores(positions)
    const lowest = (): Float64Array => new Float64Array(positions).fill(-Infinity)
    this.#max = { base: lowest(), model: lowest() }
    this.#top = { base: new Int32Array(positions), model: new Int32Array(positions) }
    this.#sum = new Float64Array(positions)
    this.#cross = new Float64Array(positions)
  }

  add(position: number, base: SideOutcome, model: SideOutcome, cross: number): void {
    const before = this.#max.base[position] ?? NaN
    const after = Math.max(before, base.max)
    const [old, fresh] = [Math.exp(before - after), Math.exp(base.max - after)]
    // The logits' differences, where the graph has those of logits less their largest.
    const whole = cross + (base.max - model.max) * base.sum
    this.#cross[position] = (this.#cross[position] ?? 0) * old + whole * fresh
    this.#sum[position] = (this.#sum[position] ?? 0) * old + base.sum * fresh
    this.base.add(position, base.max, base.sum, base.logit)
    this.model.add(position, model.max, model.sum, model.logit)
    this.#keepTop('base', position, base)
    this.#keepTop('model', position, model)
  }

  #keepTop(side: Side, position: number, { max, top }: SideOutcome): void {
    if (max <= (this.#max[side][position] ?? NaN)) return
    this.#max[side][position] = max
    this.#top[side][position] = top
  }

  /** KL(base ‖ model) = Σ p·(l − k) − ln Σ exp l + ln Σ exp k, in nats; rounding may make it less than zero by a little. */
  kl(position: number): number {
    const mean = (this.#cross[position] ?? NaN) / (this.#sum[position] ?? NaN)
    return mean - this.base.logSum(position) + this.model.logSum(position)
  }

  /** Whether both have the same most likely token. */
  agree(position: number): boolean {
    return this.#top.base[position] === this.#top.model[position]
  }
}
