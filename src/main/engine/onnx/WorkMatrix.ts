import { tileRows } from './placement'
import type { Feeds, Results, Runtime, Tensor } from './Runtime'
import type { Tile } from './tiles'

/** A row-major matrix that kernels change step by step: on the device if that keeps it, else where it lies, in tiles. */
export class WorkMatrix {
  readonly #height: number
  /** On the device; `null` where the host's array is worked on. */
  #resident: Tensor | null

  constructor(
    private readonly runtime: Runtime,
    private readonly values: Float32Array,
    private readonly width: number,
  ) {
    this.#height = values.length / width
    this.#resident = runtime.placement.keepsResults
      ? runtime.float32(values, [this.#height, width])
      : null
  }

  /** The first row of a step that need not touch those before `row`: a tensor on a device cannot be had in part. */
  firstRow(row: number): number {
    return this.#resident ? 0 : row
  }

  /** All rows from `first` on, a {@link firstRow}. */
  from(first: number): Tensor {
    const { runtime, values, width } = this
    return this.#resident ?? runtime.rows(values, width, first, this.#height - first)
  }

  /**
   * Replaces all rows from `first` on, a {@link firstRow}.
   *
   * @param run Computes a tile's rows anew; gives them as `output`, which stays on the device or goes into the tensor given.
   */
  async update(
    first: number,
    output: string,
    run: (tile: Tile, into: Feeds) => Promise<Results>,
  ): Promise<void> {
    const before = this.#resident
    if (before) {
      const results = await run({ first: 0, count: this.#height, rows: before }, {})
      this.#resident = results.one(output)
      this.runtime.release(before)
      return
    }
    const step = tileRows(this.runtime.placement, this.#height - first)
    for (let start = first; start < this.#height; start += step) {
      const count = Math.min(step, this.#height - start)
      const rows = this.runtime.rows(this.values, this.width, start, count)
      await run({ first: start, count, rows }, { [output]: rows })
    }
  }

  /** Brings the matrix to the array that it was made from. */
  async finish(): Promise<void> {
    if (!this.#resident) return
    this.values.set(await this.runtime.read(this.#resident))
    this.runtime.release(this.#resident)
    this.#resident = null
  }
}
