/** @file Whether one model predicts a text better than another: measured on the same windows, window by window. */

/** How well a model predicted each window of a text. */
export interface MeasuredLosses {
  /** Σ −ln p over the window's scored tokens, in nats. */
  readonly windowNll: readonly number[]
  /** How many those are. */
  readonly windowTokens: readonly number[]
}

/** How far two models' mean negative log-likelihoods on one text are apart. */
export interface PairedDifference {
  /** Nats per token, a − b: below zero where a predicts better. */
  readonly mean: number
  /** The ends of the 95 % interval. */
  readonly low: number
  readonly high: number
  readonly tokens: number
  readonly windows: number
  readonly outcome: 'lower' | 'higher' | 'not_distinguishable'
}

/** Enough that the ends of an interval move by some per cent of its width with another seed. */
const RESAMPLES = 2000

/** More windows than this are joined with their neighbours, which makes the interval no narrower. */
const MAX_BLOCKS = 512

/** Nats per token that rounding in float32 may move a mean by: what differs by less is not called different. */
export const RESOLUTION = 1e-5

const SEED = 0x1e5a

/** Of a normal distribution, 95 % lie within so many standard deviations. */
const Z = 1.959964

/** The same of Student's distribution with 1, 2, … degrees of freedom. */
const STUDENT = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281]

/** Mean negative log-likelihood per token, in nats. */
export function meanLoss({ windowNll, windowTokens }: MeasuredLosses): number {
  return sum(windowNll) / sum(windowTokens)
}

/** Whether two measurements are of the same windows. */
export function haveSameWindows(a: MeasuredLosses, b: MeasuredLosses): boolean {
  return (
    a.windowTokens.length === b.windowTokens.length &&
    a.windowTokens.every((tokens, index) => tokens === b.windowTokens[index])
  )
}

/**
 * The difference of two models' mean negative log-likelihood per token on the same windows, with its 95 % interval.
 *
 * Both are measured on the same tokens, so what makes a window hard for both cancels. Whole windows are drawn with
 * replacement (the percentile bootstrap, Efron & Tibshirani 1993, ch. 13), for neighbouring tokens are not independent;
 * the ratio of sums weights them by their tokens. Few windows make that interval too narrow, so its distances from the
 * mean are stretched by √(n/(n−1)) · t/z, after which it is Student's where windows are normally distributed (the
 * reason of Hesterberg's "expanded percentile" interval, 2015). The draws are seeded: the same numbers, the same interval.
 *
 * @returns `null` where the windows differ, there are fewer than two, or a sum is no number.
 */
export function pairedDifference(a: MeasuredLosses, b: MeasuredLosses): PairedDifference | null {
  if (!haveSameWindows(a, b)) return null
  const nll = a.windowNll.map((value, index) => value - (b.windowNll[index] ?? NaN))
  const interval = ratioInterval(nll, a.windowTokens)
  if (!interval) return null
  const { mean, low, high } = interval
  const isTold = Math.abs(mean) >= RESOLUTION && (low > 0 || high < 0)
  return {
    ...interval,
    tokens: sum(a.windowTokens),
    windows: nll.length,
    outcome: isTold ? (mean < 0 ? 'lower' : 'higher') : 'not_distinguishable',
  }
}

/**
 * Σ values / Σ weights with its 95 % interval over windows, as {@link pairedDifference} has it.
 *
 * @returns `null` below two windows, or where a value is no number.
 */
export function ratioInterval(
  values: readonly number[],
  weights: readonly number[],
): { readonly mean: number; readonly low: number; readonly high: number } | null {
  const blocks = blocksOf(values, weights)
  const count = blocks.values.length
  const mean = sum(values) / sum(weights)
  if (count < 2 || !Number.isFinite(mean)) return null
  const next = splitmix32(SEED)
  const means = new Float64Array(RESAMPLES)
  for (let draw = 0; draw < RESAMPLES; draw += 1) {
    let total = 0
    let weight = 0
    for (let place = 0; place < count; place += 1) {
      const index = Math.floor((next() / 2 ** 32) * count)
      total += blocks.values[index] ?? NaN
      weight += blocks.weights[index] ?? NaN
    }
    means[draw] = total / weight
  }
  means.sort()
  const stretch = Math.sqrt(count / (count - 1)) * (student(count - 1) / Z)
  const end = (share: number): number => mean + stretch * (quantile(means, share) - mean)
  return { mean, low: Math.min(mean, end(0.025)), high: Math.max(mean, end(0.975)) }
}

/** The same with at most as many windows as a difference tells apart: two that are joined so differ as they did before. */
export function joinWindows({ windowNll, windowTokens }: MeasuredLosses): MeasuredLosses {
  const { values, weights } = blocksOf(windowNll, windowTokens)
  return { windowNll: [...values], windowTokens: [...weights] }
}

/** Neighbouring windows joined, as evenly as it goes, where there are many. */
function blocksOf(
  values: readonly number[],
  weights: readonly number[],
): { readonly values: Float64Array; readonly weights: Float64Array } {
  const count = Math.min(MAX_BLOCKS, values.length)
  const blocks = { values: new Float64Array(count), weights: new Float64Array(count) }
  values.forEach((value, index) => {
    const block = Math.floor((index * count) / values.length)
    blocks.values[block] = (blocks.values[block] ?? 0) + value
    blocks.weights[block] = (blocks.weights[block] ?? 0) + (weights[index] ?? NaN)
  })
  return blocks
}

/** Of sorted numbers, between the two nearest. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1)
  const [below, above] = [sorted[Math.floor(at)] ?? NaN, sorted[Math.ceil(at)] ?? NaN]
  return below + (at - Math.floor(at)) * (above - below)
}

/** The 97.5 % quantile of Student's distribution (beyond the table: Abramowitz & Stegun 26.7.5). */
function student(degrees: number): number {
  const known = STUDENT[degrees - 1]
  if (known !== undefined) return known
  const first = (Z ** 3 + Z) / 4
  const second = (5 * Z ** 5 + 16 * Z ** 3 + 3 * Z) / 96
  const third = (3 * Z ** 7 + 19 * Z ** 5 + 17 * Z ** 3 - 15 * Z) / 384
  return Z + first / degrees + second / degrees ** 2 + third / degrees ** 3
}

/** Whole numbers from 0 to 2³² − 1 (Steele, Lea & Flood 2014, in 32 bits). */
function splitmix32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return (mixed ^ (mixed >>> 16)) >>> 0
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
