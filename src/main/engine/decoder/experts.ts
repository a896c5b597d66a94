/** @file A mixture of experts in place of a layer's MLP. Each token passes a few of them, and no other sees it. */
import { AppError } from '@shared/errors'
import type { Architecture } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import type { Graph, Value } from '../onnx/graph'

/** A gated MLP, by the beginning of its projections' names: `experts.3`. */
export type GatedMlp = (x: Value, of: string) => Value

interface MixtureInputs {
  /** `[rows, hiddenSize]` */
  readonly x: Value
  readonly weight: (name: string) => Value
  readonly mlp: GatedMlp
}

/**
 * `Σ_e w_e · MLP_e(x)` over the experts with the highest softmax of the router's scores, with these as weights or with their
 * shares of the sum; then the expert that every token passes, by the sigmoid of its own score. The shape of `x`.
 */
export function mixture(
  g: Graph,
  { experts }: ModelConfig,
  { forward }: Architecture,
  { x, weight, mlp }: MixtureInputs,
): Value {
  if (!experts || !forward.experts) throw new AppError('bug', 'The model has no experts.')
  const { router, sharedGate } = forward.experts
  const scores = g.softmax(g.linear(x, weight(router)))
  const chosen = g.topOnly(scores, experts.perToken)
  const shares = experts.normalises ? g.div(chosen, g.sum(chosen, [-1], true)) : chosen
  // A row for each expert: picking rows costs less than cutting columns, in the backward pass above all.
  const byExpert = g.transpose(shares)
  let sum: Value | null = null
  for (let expert = 0; expert < experts.count; expert += 1) {
    const share = g.transpose(g.gather(byExpert, g.integers([expert])))
    const rows = g.nonZeroRows(share, `rows of ${expert}`)
    const given = g.mul(mlp(g.gather(x, rows), `experts.${expert}`), g.gather(share, rows))
    sum = sum ? g.addRows(sum, rows, given) : g.scatterAdd(x, rows, given)
  }
  if (!sum) throw new AppError('bug', 'The model has no experts.')
  if (sharedGate === null) return sum
  const shared = g.mul(mlp(x, 'shared_expert'), g.sigmoid(g.linear(x, weight(sharedGate))))
  return g.add(sum, shared)
}
