/** @file Which token follows, given the logits of all. Pure. */
import type { Random } from '../lib/random'

export interface Sampling {
  /** Divides the logits; 0 takes the likeliest token always. */
  readonly temperature: number
  /** Only so many of the likeliest tokens can follow. */
  readonly topK?: number | undefined
  /** Only the likeliest tokens can follow that together have this probability, one at least. */
  readonly topP?: number | undefined
}

/** Tokens that are e to this many times less likely than the likeliest are never drawn: all of them together are not. */
const NEGLIGIBLE = 40

/**
 * The token that follows: the likeliest, the first of equals, at temperature 0; else drawn. Temperature, top-k, top-p
 * apply in this order, each to what the one before has left, as in transformers. One number is drawn a token, from the
 * likeliest on, so that models which agree about as much draw alike from equal seeds.
 */
export function chooseToken(logits: Float32Array, sampling: Sampling, random: Random): number {
  const { temperature, topK = logits.length, topP = 1 } = sampling
  if (temperature === 0) return likeliest(logits)
  const draw = random.uniform()
  const top = logits[likeliest(logits)] ?? NaN
  const least = top - NEGLIGIBLE * temperature
  const left = Array.from(logits.keys())
    .filter((id) => (logits[id] ?? NaN) >= least)
    .sort((a, b) => (logits[b] ?? NaN) - (logits[a] ?? NaN) || a - b)
    .slice(0, topK)
  const weights = left.map((id) => Math.exp(((logits[id] ?? 0) - top) / temperature))
  const kept = nucleus(weights, topP)
  const total = sumOf(weights.slice(0, kept))
  let below = 0
  for (let index = 0; index < kept; index += 1) {
    below += weights[index] ?? 0
    if (draw * total < below) return left[index] ?? 0
  }
  return left[kept - 1] ?? 0
}

/** How many of some falling weights it takes for the share `topP` of their sum. */
function nucleus(weights: readonly number[], topP: number): number {
  const wanted = topP * sumOf(weights)
  let sum = 0
  for (const [index, weight] of weights.entries()) {
    sum += weight
    if (sum >= wanted) return index + 1
  }
  return weights.length
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}

/** The index of the largest value, the first of equals. */
export function likeliest(values: Float32Array): number {
  let best = 0
  for (let index = 1; index < values.length; index += 1) {
    if ((values[index] ?? NaN) > (values[best] ?? NaN)) best = index
  }
  return best
}

/** The indices of the `count` largest values, the largest first, and the first of equals. For few. */
export function largest(values: Float32Array, count: number): number[] {
  const found: number[] = []
  let least = -Infinity
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? NaN
    if (found.length === count && !(value > least)) continue
    let place = found.length
    while (place > 0 && (values[found[place - 1] ?? 0] ?? NaN) < value) place -= 1
    found.splice(place, 0, index)
    if (found.length > count) found.pop()
    least = values[found.at(-1) ?? 0] ?? NaN
  }
  return found
}
