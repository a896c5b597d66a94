import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Runtime, Tensor } from '../onnx/Runtime'

/** Rows `[start, end)` of a {@link VocabularyMatrix} on the device. */
export interface VocabularyTile {
  readonly tensor: Tensor
  readonly start: number
  readonly end: number
}

/** A matrix with a row for each token, `[vocabSize, hiddenSize]`: some rows in memory at a time. */
export class VocabularyMatrix {
  /** Rows in memory at once. */
  readonly rowsAtOnce: number
  readonly #rows: number
  readonly width: number

  /** @param elements In memory at once, one row at least. */
  constructor(
    private readonly checkpoint: Checkpoint,
    readonly name: string,
    elements: number,
  ) {
    const { hiddenSize, vocabSize } = checkpoint.config
    this.#rows = vocabSize
    this.width = hiddenSize
    this.rowsAtOnce = Math.min(vocabSize, Math.max(1, Math.floor(elements / hiddenSize)))
  }

  get tileCount(): number {
    return Math.ceil(this.#rows / this.rowsAtOnce)
  }

  /**
   * The rows part by part, in order; `values` are overwritten by the next part.
   *
   * @param isNeeded Parts that it refuses are not read.
   */
  async *parts(
    signal: AbortSignal,
    isNeeded: (start: number, end: number) => boolean = () => true,
  ): AsyncGenerator<{
    readonly values: Float32Array
    readonly start: number
    readonly end: number
  }> {
    const buffer = new Float32Array(this.rowsAtOnce * this.width)
    for (let start = 0; start < this.#rows; start += this.rowsAtOnce) {
      const end = Math.min(this.#rows, start + this.rowsAtOnce)
      if (!isNeeded(start, end)) continue
      signal.throwIfAborted()
      const rows = [start, end] as const
      yield {
        values: await this.checkpoint.readFloat32(this.name, { rows, into: buffer }),
        start,
        end,
      }
    }
  }

  /** The same on the device; each tile is given up when the next is asked for. */
  async *tiles(runtime: Runtime, signal: AbortSignal): AsyncGenerator<VocabularyTile> {
    for await (const { values, start, end } of this.parts(signal)) {
      const tensor = await runtime.upload(values, [end - start, this.width])
      try {
        yield { tensor, start, end }
      } finally {
        runtime.release(tensor)
      }
    }
  }
}
