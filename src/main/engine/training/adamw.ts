/**
 * @file AdamW (Loshchilov & Hutter 2019) as graph nodes, with PyTorch's definition and defaults.
 *
 * The moments are kept divided by (1 − β): M = m / (1 − β1) and V = v / (1 − β2). That saves two passes over memory a
 * step; the factors go into the step's scalars, {@link adamwScalars}.
 */
import type { Graph, Value } from '../onnx/graph'

export interface AdamWSettings {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
}

/** What the optimiser keeps of every parameter: its value and both scaled moments, all of one shape. */
export const STATE_PARTS = ['value', 'first', 'second'] as const
export type AdamWState = Readonly<Record<(typeof STATE_PARTS)[number], Value>>

/** The scalars of a step: the update is p·kept − M / (√V · scale + offset). */
export type AdamWScalars = Readonly<Record<(typeof SCALARS)[number], Value>>

/** Their order in {@link adamwScalars}. */
export const SCALARS = ['scale', 'offset', 'kept'] as const

/** One step: p ← p·(1 − lr·wd) − lr·m̂ / (√v̂ + ε). */
export function adamw(
  g: Graph,
  state: AdamWState,
  gradient: Value,
  scalars: AdamWScalars,
  settings: Pick<AdamWSettings, 'beta1' | 'beta2'>,
): AdamWState {
  const first = g.add(g.mul(state.first, settings.beta1), gradient)
  const second = g.add(g.mul(state.second, settings.beta2), g.square(gradient))
  const denominator = g.add(g.mul(g.sqrt(second), scalars.scale), scalars.offset)
  return {
    value: g.sub(g.mul(state.value, scalars.kept), g.div(first, denominator)),
    first,
    second,
  }
}

/** No division by a learning rate of zero; a step of this rate moves nothing. */
const LEAST_RATE = 1e-30

/**
 * The scalars of the `step`-th step, counted from 1: bias correction and learning rate folded in.
 *
 * @param factor What the schedule makes of the learning rate at this step.
 */
export function adamwScalars(
  step: number,
  settings: AdamWSettings,
  factor = 1,
): [scale: number, offset: number, kept: number] {
  const { beta1, beta2, epsilon, weightDecay } = settings
  const rate = settings.learningRate * factor
  const stepSize = (Math.max(rate, LEAST_RATE) / (1 - beta1 ** step)) * (1 - beta1)
  const root = Math.sqrt((1 - beta2) / (1 - beta2 ** step))
  return [root / stepSize, epsilon / stepSize, 1 - rate * weightDecay]
}
