/** @file The step along a direction, by what it does to a loss. Pure. */

/** Where the search begins when nothing is known. */
export const FIRST_STEP = 0.1

/** A step below which there is none worth taking. */
const LEAST_STEP = 1e-4

/** Doublings after which something is wrong. */
const MOST_TRIES = 24

export interface StepChoice {
  /** 0 where no step lowers the loss. */
  readonly step: number
  /** What was tried, 0 first, with its loss. */
  readonly tried: readonly (readonly [step: number, loss: number])[]
}

/**
 * Looks for the step with the lowest loss: a quarter of the first one while that is no better than none, then twice it while
 * the loss falls, then half of it.
 *
 * @param lossOf Of a step; one that is not finite counts as worse than any.
 */
export async function* chooseStep<E>(
  lossOf: (step: number) => AsyncGenerator<E, number>,
  first = FIRST_STEP,
): AsyncGenerator<E, StepChoice> {
  const tried = new Map<number, number>()
  const loss = async function* (step: number): AsyncGenerator<E, number> {
    const known = tried.get(step)
    if (known !== undefined) return known
    const found = yield* lossOf(step)
    tried.set(step, found)
    return Number.isNaN(found) ? Infinity : found
  }
  const none = yield* loss(0)
  let step = first
  while ((yield* loss(step)) >= none && step > LEAST_STEP) step /= 4
  if ((yield* loss(step)) < none) {
    for (const factor of [2, 0.5]) {
      while (tried.size < MOST_TRIES && (yield* loss(factor * step)) < (yield* loss(step))) {
        step *= factor
      }
    }
  } else step = 0
  return { step, tried: [...tried] }
}
