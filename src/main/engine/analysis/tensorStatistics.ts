import type { TensorStatistics } from '@shared/statistics'

/** Gathers a tensor's figures from parts of it; sums are float64. */
export class StatisticsSum {
  #squares = 0
  #absolute = 0
  #count = 0
  #maxAbs = 0
  #nan = 0
  #infinite = 0

  add(values: Float32Array): void {
    // Four independent sums keep the processor's adders busy; most parts hold nothing that is not finite.
    let [s0, s1, a0, a1] = [0, 0, 0, 0]
    let max = 0
    const even = values.length - (values.length % 2)
    for (let i = 0; i < even; i += 2) {
      const [x, y] = [Math.abs(values[i]!), Math.abs(values[i + 1]!)]
      s0 += x * x
      s1 += y * y
      a0 += x
      a1 += y
      if (x > max) max = x
      if (y > max) max = y
    }
    if (even < values.length) {
      const x = Math.abs(values[even]!)
      s0 += x * x
      a0 += x
      if (x > max) max = x
    }
    // A sum of squares of finite float32 values cannot overflow float64.
    if (Number.isFinite(s0 + s1)) {
      this.#squares += s0 + s1
      this.#absolute += a0 + a1
      this.#count += values.length
      this.#maxAbs = Math.max(this.#maxAbs, max)
    } else this.#addCarefully(values)
  }

  /** Takes over what another one has seen. */
  merge(other: StatisticsSum): void {
    this.#squares += other.#squares
    this.#absolute += other.#absolute
    this.#count += other.#count
    this.#maxAbs = Math.max(this.#maxAbs, other.#maxAbs)
    this.#nan += other.#nan
    this.#infinite += other.#infinite
  }

  result(): TensorStatistics {
    return {
      norm: Math.sqrt(this.#squares),
      meanAbs: this.#count > 0 ? this.#absolute / this.#count : 0,
      maxAbs: this.#maxAbs,
      nan: this.#nan,
      infinite: this.#infinite,
    }
  }

  #addCarefully(values: Float32Array): void {
    for (const value of values) {
      const x = Math.abs(value)
      if (Number.isNaN(x)) this.#nan += 1
      else if (x === Infinity) this.#infinite += 1
      else {
        this.#squares += x * x
        this.#absolute += x
        this.#count += 1
        if (x > this.#maxAbs) this.#maxAbs = x
      }
    }
  }
}
