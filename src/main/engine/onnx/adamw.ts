/**
 * @file AdamW (Loshchilov & Hutter 2019) as graph nodes, with PyTorch's definition and defaults.
 *
 * The moments are kept divided by (1 − β): M = m / (1 − β1) and V = v / (1 − β2). That saves two passes over memory a
 * step; the factors go into two scalars a step, {@link adamwSchedule}.
 */
import type { Graph, Value } from './graph'

export interface AdamWSettings {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
}

/** A parameter with its scaled moments, all of one shape. */
export interface AdamWState {
  readonly value: Value
  readonly first: Value
  readonly second: Value
}

/** The two scalars of a step: the update is M / (√V · scale + offset). */
export interface AdamWScalars {
  readonly scale: Value
  readonly offset: Value
}

/** One step: p ← p·(1 − lr·wd) − lr·m̂ / (√v̂ + ε). */
export function adamw(
  g: Graph,
  state: AdamWState,
  gradient: Value,
  scalars: AdamWScalars,
  settings: AdamWSettings,
): AdamWState {
  const first = g.add(g.mul(state.first, settings.beta1), gradient)
  const second = g.add(g.mul(state.second, settings.beta2), g.square(gradient))
  const denominator = g.add(g.mul(g.sqrt(second), scalars.scale), scalars.offset)
  const kept = g.mul(state.value, 1 - settings.learningRate * settings.weightDecay)
  return { value: g.sub(kept, g.div(first, denominator)), first, second }
}

/** `scale` and `offset` of the `step`-th step, counted from 1: bias correction and learning rate folded in. */
export function adamwSchedule(step: number, settings: AdamWSettings): [number, number] {
  const { learningRate, beta1, beta2, epsilon } = settings
  const stepSize = (learningRate / (1 - beta1 ** step)) * (1 - beta1)
  const root = Math.sqrt((1 - beta2) / (1 - beta2 ** step))
  return [root / stepSize, epsilon / stepSize]
}
