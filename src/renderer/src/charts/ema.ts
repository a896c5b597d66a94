/** A measured value; over JSON a NaN arrives as `null`. */
export type Sample = number | null

/**
 * TensorBoard's smoothing: an exponential moving average, divided by `1 − weight^n` so that it does not start at zero.
 * What is no number is passed through and does not count.
 *
 * @param weight 0 … below 1; 0 leaves the values as they are.
 */
export function smooth(values: readonly Sample[], weight: number): Sample[] {
  if (weight <= 0) return [...values]
  let last = 0
  let correction = 1
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return null
    last = last * weight + (1 - weight) * value
    correction *= weight
    return last / (1 - correction)
  })
}
