import type { Histogram, TensorDetails } from '@shared/statistics'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { decodeToFloat32, isTensorDtype } from '../checkpoint/dtypes'

const BARS = 60
/** Bars reach so many standard deviations to either side: one outlier would leave all else in a single bar. */
const REACH = 6

/**
 * Figures and histogram of one tensor of a checkpoint of any architecture. It is read twice, a few megabytes at a time:
 * where the bars begin and end is known only after the first pass.
 *
 * @throws AppError `bad_request` when there is no such tensor, and what opening throws.
 */
export async function tensorDetails(folder: string, name: string): Promise<TensorDetails> {
  return Checkpoint.withTensor(folder, name, async ({ dtype }, chunks) => {
    if (!isTensorDtype(dtype)) return { name, figures: null }
    const values = async function* (): AsyncIterable<Float32Array> {
      for await (const chunk of chunks()) yield decodeToFloat32(chunk, dtype)
    }
    const sums = new Sums()
    for await (const part of values()) sums.add(part)
    const bars = new Bars(...sums.reach())
    for await (const part of values()) bars.add(part)
    return { name, figures: { ...sums.result(), histogram: bars.result() } }
  })
}

class Sums {
  #count = 0
  #finite = 0
  #sum = 0
  #squares = 0
  #zeros = 0
  #nan = 0
  #min = Infinity
  #max = -Infinity

  add(values: Float32Array): void {
    let [sum, squares, finite] = [0, 0, 0]
    for (const value of values) {
      if (value - value !== 0) {
        if (Number.isNaN(value)) this.#nan += 1
        continue
      }
      finite += 1
      sum += value
      squares += value * value
      if (value === 0) this.#zeros += 1
      if (value < this.#min) this.#min = value
      if (value > this.#max) this.#max = value
    }
    this.#count += values.length
    this.#finite += finite
    this.#sum += sum
    this.#squares += squares
  }

  /** Where bars are worth drawing. */
  reach(): [low: number, high: number] {
    const { mean, deviation, min, max } = this.result()
    return [Math.max(min, mean - REACH * deviation), Math.min(max, mean + REACH * deviation)]
  }

  result(): Omit<NonNullable<TensorDetails['figures']>, 'histogram'> {
    const finite = this.#finite
    const mean = finite > 0 ? this.#sum / finite : 0
    return {
      count: this.#count,
      norm: Math.sqrt(this.#squares),
      mean,
      deviation: finite > 0 ? Math.sqrt(Math.max(0, this.#squares / finite - mean * mean)) : 0,
      min: finite > 0 ? this.#min : 0,
      max: finite > 0 ? this.#max : 0,
      zeros: this.#zeros,
      nan: this.#nan,
      infinite: this.#count - finite - this.#nan,
    }
  }
}

class Bars {
  readonly #counts = new Array<number>(BARS).fill(0)
  #below = 0
  #above = 0

  constructor(
    private readonly low: number,
    private readonly high: number,
  ) {}

  add(values: Float32Array): void {
    const { low, high } = this
    const scale = high > low ? BARS / (high - low) : 0
    for (const value of values) {
      // Also leaves out what is no number.
      if (value >= low && value <= high) {
        // Where all values are one, it stands in the middle.
        const bar = scale > 0 ? Math.min(BARS - 1, Math.floor((value - low) * scale)) : BARS >> 1
        this.#counts[bar]! += 1
      } else if (value < low && value > -Infinity) this.#below += 1
      else if (value > high && value < Infinity) this.#above += 1
    }
  }

  result(): Histogram {
    return {
      low: this.low,
      high: this.high,
      counts: this.#counts,
      below: this.#below,
      above: this.#above,
    }
  }
}
