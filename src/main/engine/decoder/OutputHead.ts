import { setImmediate } from 'node:timers/promises'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Runtime, Tensor } from '../onnx/Runtime'
import type { TargetScores } from './head'
import { buildLogitsHead, buildScoringHead, HEAD_IO } from './head'
import { KernelCache } from './KernelCache'
import { VocabularyMatrix, type VocabularyTile } from './VocabularyMatrix'

/** Positions whose targets are scored together. */
export interface ScoredPositions {
  /** `[targets.length, hiddenSize]`, before the final norm. */
  readonly hidden: Float32Array
  /** Token ids; −1 where there is none. */
  readonly targets: Int32Array
  readonly scores: TargetScores
}

/** The end of the model, a tile of the output matrix at a time. */
export class OutputHead {
  readonly matrix: VocabularyMatrix
  /** Positions that are computed at once. */
  readonly rowsAtOnce: number
  readonly #kernels: KernelCache

  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly signal: AbortSignal,
    limits: { readonly matrixElements: number; readonly logits: number },
  ) {
    this.matrix = new VocabularyMatrix(
      checkpoint,
      outputMatrixOf(checkpoint),
      limits.matrixElements,
    )
    this.rowsAtOnce = Math.max(32, Math.floor(limits.logits / this.matrix.rowsAtOnce))
    this.#kernels = new KernelCache(runtime)
  }

  /** How many times {@link score} yields for so many positions. */
  runsFor(positions: number): number {
    return Math.ceil(positions / this.rowsAtOnce) * this.matrix.tileCount
  }

  /** Scores each position's target against the whole vocabulary; yields after each run. */
  async *score(parts: readonly ScoredPositions[]): AsyncGenerator<void, void> {
    const kernel = await this.#kernels.get('score', () => buildScoringHead(this.checkpoint))
    const norm = await this.norm()
    const { hiddenSize } = this.checkpoint.config
    for await (const tile of this.tiles()) {
      for (const { hidden, targets, scores } of parts) {
        for (let row = 0; row < targets.length; row += this.rowsAtOnce) {
          const here = targets.subarray(row, row + this.rowsAtOnce)
          const { local, isHere } = within(tile, here)
          const rows = hidden.subarray(row * hiddenSize, (row + here.length) * hiddenSize)
          const result = await kernel.run({
            [HEAD_IO.hidden]: this.runtime.float32(rows, [here.length, hiddenSize]),
            [HEAD_IO.norm]: norm,
            [HEAD_IO.matrix]: tile.tensor,
            [HEAD_IO.target]: this.runtime.int64(local, [here.length, 1]),
          })
          const max = result.floats(HEAD_IO.max)
          const sum = result.floats(HEAD_IO.sum)
          const logit = result.floats(HEAD_IO.logit)
          for (let index = 0; index < here.length; index += 1) {
            const found = isHere(here[index] ?? -1) ? (logit[index] ?? NaN) : null
            scores.add(row + index, max[index] ?? NaN, sum[index] ?? NaN, found)
          }
          yield
          await setImmediate()
          this.signal.throwIfAborted()
        }
      }
    }
  }

  /** The logits of hidden states `[rows, hiddenSize]`: `[rows, vocabSize]`. */
  async logits(hidden: Float32Array): Promise<Float32Array> {
    const { vocabSize, hiddenSize } = this.checkpoint.config
    const rows = hidden.length / hiddenSize
    const kernel = await this.#kernels.get('logits', () => buildLogitsHead(this.checkpoint))
    const norm = await this.norm()
    const all = new Float32Array(rows * vocabSize)
    for await (const { tensor, start, end } of this.tiles()) {
      const result = await kernel.run({
        [HEAD_IO.hidden]: this.runtime.float32(hidden, [rows, hiddenSize]),
        [HEAD_IO.norm]: norm,
        [HEAD_IO.matrix]: tensor,
      })
      const logits = result.floats(HEAD_IO.logits)
      const width = end - start
      for (let row = 0; row < rows; row += 1) {
        all.set(logits.subarray(row * width, (row + 1) * width), row * vocabSize + start)
      }
    }
    return all
  }

  /** The output matrix. */
  tiles(): AsyncGenerator<VocabularyTile> {
    return this.matrix.tiles(this.runtime, this.signal)
  }

  /** The final norm's weight, `[hiddenSize]`. */
  norm(): Promise<Tensor> {
    return finalNorm(this.checkpoint, this.runtime)
  }

  dispose(): Promise<void> {
    return this.#kernels.dispose()
  }
}

/**
 * The output matrix's name. Tied models have none of their own; where a file has one all the same, loaders use it.
 */
export function outputMatrixOf({ architecture, tensors }: Checkpoint): string {
  const { lmHead, embedTokens } = architecture
  return tensors.has(lmHead) ? lmHead : embedTokens
}

/** The final norm's weight, `[hiddenSize]`. */
export async function finalNorm(checkpoint: Checkpoint, runtime: Runtime): Promise<Tensor> {
  const { architecture, config } = checkpoint
  return runtime.float32(await checkpoint.readFloat32(architecture.finalNorm), [config.hiddenSize])
}

/** Targets as rows of a tile; 0 stands for those of other tiles. */
export function within(
  { start, end }: VocabularyTile,
  targets: Int32Array,
): { readonly local: BigInt64Array; readonly isHere: (target: number) => boolean } {
  const isHere = (target: number): boolean => target >= start && target < end
  const local = BigInt64Array.from(targets, (target) =>
    isHere(target) ? BigInt(target - start) : 0n,
  )
  return { local, isHere }
}
