/** @file Schedules of the learning rate: what it is multiplied by, 0 … 1, at each step, counted from 1. */
import { decaySteps, type ScheduleName } from './pretraining'

export type Schedule = (step: number) => number

export const constant: Schedule = () => 1

/** Rises in equal steps to where `then` goes on, which counts from the first step after. */
export function warmUp(steps: number, then: Schedule): Schedule {
  return (step) => (step <= steps ? (step / (steps + 1)) * then(1) : then(step - steps))
}

/** Half a cosine (Loshchilov & Hutter 2017) from 1 at the first step to `final` at the last. */
export function cosine(steps: number, final = 0): Schedule {
  return (step) => final + ((1 - final) * (1 + Math.cos(Math.PI * share(step, steps)))) / 2
}

/**
 * Warm-up, stable, decay (Hu et al. 2024): a warm-up, a plateau, and over the last `decay` steps 1 − √share down to
 * `final` (Hägele et al. 2024). The plateau can be prolonged later: what comes before the decay does not depend on it.
 */
export function wsd(options: {
  readonly steps: number
  readonly warmUp: number
  readonly decay: number
  readonly final?: number
}): Schedule {
  const { steps, decay, final = 0 } = options
  const start = steps - decay
  const falling: Schedule = (step) =>
    step <= start ? 1 : 1 - (1 - final) * Math.sqrt(Math.min(1, (step - start) / decay))
  const rising = warmUp(options.warmUp, constant)
  return (step) => Math.min(rising(step), falling(step))
}

/** The schedule of a training of so many steps, by its name; the decay of `wsd` is {@link decaySteps}. */
export function scheduleNamed(name: ScheduleName, steps: number, warmup: number): Schedule {
  switch (name) {
    case 'wsd':
      return wsd({ steps, warmUp: warmup, decay: decaySteps(steps) })
    case 'cosine':
      return warmUp(warmup, cosine(steps - warmup))
    case 'constant':
      return warmUp(warmup, constant)
  }
}

/** How much of `steps` lies behind at a step: 0 at the first, 1 at the last and after it. */
function share(step: number, steps: number): number {
  return steps <= 1 ? 1 : Math.min(1, (step - 1) / (steps - 1))
}
