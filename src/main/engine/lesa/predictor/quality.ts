import type { PredictorKernel } from './PredictorKernel'
import type { Samples } from './Samples'

/** How predictions compare with the truth and with two yardsticks that need no learning. */
export interface PredictionQuality {
  /** Mean squared error of the predictions. */
  readonly mse: number
  /** … of predicting zero: the mean square of the targets. */
  readonly mseOfZero: number
  /** … of predicting the mean of both neighbours. */
  readonly mseOfMean: number
  /** ‖predictions‖_F / ‖targets‖_F. */
  readonly normRatio: number
  /** Cosine between predictions and targets, all rows as one vector. */
  readonly cosine: number
}

/** More samples than this do not change the figures; they are then taken at even distances. */
const MAX_SAMPLES = 8192
const CHUNK = 256

/** Measures a predictor on (up to 8192 of) the given samples. Sums are float64. */
export async function measurePredictor(
  kernel: PredictorKernel,
  samples: Samples,
): Promise<PredictionQuality> {
  const count = Math.min(samples.count, MAX_SAMPLES)
  const { width } = samples
  let error = 0
  let meanError = 0
  let target = 0
  let output = 0
  let product = 0
  const [lefts, rights, targets] = [0, 1, 2].map(
    () => new Float32Array(Math.min(CHUNK, count) * width),
  ) as [Float32Array, Float32Array, Float32Array]
  for (let start = 0; start < count; start += CHUNK) {
    const size = Math.min(CHUNK, count - start)
    const indices = Uint32Array.from({ length: size }, (_, i) =>
      Math.floor(((start + i) * samples.count) / count),
    )
    const left = lefts.subarray(0, size * width)
    const right = rights.subarray(0, size * width)
    const y = targets.subarray(0, size * width)
    samples.fill(indices, { left, right, target: y })
    const from = (rows: Float32Array) => (first: number, into: Float32Array) =>
      into.set(rows.subarray(first * width, first * width + into.length))
    const predicted = await kernel.predict(size, from(left), from(right))
    for (let i = 0; i < y.length; i += 1) {
      const truth = y[i]!
      const guess = predicted[i]!
      const mean = (left[i]! + right[i]!) / 2
      error += (guess - truth) ** 2
      meanError += (mean - truth) ** 2
      target += truth * truth
      output += guess * guess
      product += guess * truth
    }
  }
  const elements = count * width
  return {
    mse: error / elements,
    mseOfZero: target / elements,
    mseOfMean: meanError / elements,
    normRatio: target > 0 ? Math.sqrt(output / target) : 0,
    cosine: target > 0 && output > 0 ? product / Math.sqrt(target * output) : 0,
  }
}
