/** @file Entropic optimal transport between as many units as there are on the other side, each of the same mass. */

export interface SinkhornOptions {
  /** Of costs that are divided by the largest; at least 0.0125, or what the plan is made of leaves float32. */
  readonly regularisation: number
  readonly maxIterations: number
  /** Of the mass that is not yet where it belongs, of 1. */
  readonly tolerance: number
}

/** Regularisation as published (OpT-DeUS, arXiv 2508.08011). */
export const SINKHORN: SinkhornOptions = {
  regularisation: 0.06,
  maxIterations: 1000,
  tolerance: 1e-9,
}

/** Elements that are gone through between two reports. */
const REPORT_ELEMENTS = 2 ** 24

/**
 * The shares of the left units in each right one: `n` times the plan between uniform marginals (Cuturi 2013, arXiv
 * 1306.0895), so that every row sums to 1.
 *
 * Costs are at most 1 once they are divided by the largest, so that no element of exp(−cost / 0.06) is below 6e-8: what
 * scales them, in float64, cannot run out of range, and logarithms would give the same at many times the price.
 *
 * @param cost `[n, n]`, a row for each right unit, finite and not negative; overwritten with the shares.
 * @param onProgress Called with the share that is done; may throw to stop.
 */
export async function transportShares(
  cost: Float32Array,
  n: number,
  onProgress: (done: number) => void | Promise<void> = () => undefined,
  { regularisation, maxIterations, tolerance }: SinkhornOptions = SINKHORN,
): Promise<Float32Array> {
  const largest = cost.reduce((most, value) => Math.max(most, value), 0) || 1
  for (let i = 0; i < cost.length; i += 1) {
    cost[i] = Math.exp(-cost[i]! / largest / regularisation)
  }
  const left = new Float64Array(n).fill(1)
  const right = new Float64Array(n)
  const columns = new Float64Array(n)
  const between = Math.ceil(REPORT_ELEMENTS / n ** 2)
  for (let iteration = 0; iteration < maxIterations; iteration += 1) {
    columns.fill(0)
    for (let row = 0; row < n; row += 1) {
      const start = row * n
      let sum = 0
      for (let column = 0; column < n; column += 1) sum += cost[start + column]! * left[column]!
      const factor = 1 / sum
      right[row] = factor
      for (let column = 0; column < n; column += 1)
        columns[column]! += cost[start + column]! * factor
    }
    let wrong = 0
    for (let column = 0; column < n; column += 1) {
      wrong += Math.abs(left[column]! * columns[column]! - 1) / n
    }
    // Rows are right now; columns stay as they are, or rows would no longer be.
    if (wrong <= tolerance || iteration === maxIterations - 1) break
    for (let column = 0; column < n; column += 1) left[column] = 1 / columns[column]!
    if (iteration % between === 0) {
      await onProgress(Math.min(1, Math.max(0, Math.log(wrong) / Math.log(tolerance))))
    }
  }
  for (let row = 0; row < n; row += 1) {
    for (let column = 0; column < n; column += 1) {
      cost[row * n + column]! *= right[row]! * left[column]!
    }
  }
  return cost
}
