import { setImmediate } from 'node:timers/promises'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Kernel, Results, Runtime, Tensor } from '../onnx/Runtime'
import {
  buildDivergenceHead,
  DIVERGENCE_IO,
  sided,
  SIDES,
  type PairScores,
  type Side,
  type SideOutcome,
} from './divergence'
import { HEAD_IO } from './head'
import { finalNorm, outputMatrixOf, within } from './OutputHead'
import { VocabularyMatrix, type VocabularyTile } from './VocabularyMatrix'

/** The same positions of two models. */
export interface PairedPositions {
  /** `[targets.length, hiddenSize]` of each, before the final norm. */
  readonly hidden: Readonly<Record<Side, Float32Array>>
  /** Token ids; −1 where there is none. */
  readonly targets: Int32Array
  readonly scores: PairScores
}

/**
 * The ends of two models of one vocabulary side by side, a tile of both output matrices at a time: together they take no
 * more memory than one model's {@link OutputHead}.
 */
export class PairHead {
  readonly #matrices: Readonly<Record<Side, VocabularyMatrix>>
  readonly #rowsAtOnce: number
  #kernel: Promise<Kernel> | null = null

  constructor(
    private readonly checkpoints: Readonly<Record<Side, Checkpoint>>,
    private readonly runtime: Runtime,
    private readonly signal: AbortSignal,
    limits: { readonly matrixElements: number; readonly logits: number },
  ) {
    const widths = SIDES.map((side) => checkpoints[side].config.hiddenSize)
    const tileRows = Math.max(1, Math.floor(limits.matrixElements / 2 / Math.max(...widths)))
    const matrixOf = (side: Side): VocabularyMatrix => {
      const checkpoint = checkpoints[side]
      const elements = tileRows * checkpoint.config.hiddenSize
      return new VocabularyMatrix(checkpoint, outputMatrixOf(checkpoint), elements)
    }
    this.#matrices = { base: matrixOf('base'), model: matrixOf('model') }
    this.#rowsAtOnce = Math.max(16, Math.floor(limits.logits / 2 / this.#matrices.base.rowsAtOnce))
  }

  /** How many times {@link score} yields for so many positions. */
  runsFor(positions: number): number {
    return Math.ceil(positions / this.#rowsAtOnce) * this.#matrices.base.tileCount
  }

  /** Compares both models at each position over the whole vocabulary; yields after each run. */
  async *score(parts: readonly PairedPositions[]): AsyncGenerator<void, void> {
    this.#kernel ??= this.runtime.compile(
      buildDivergenceHead(this.checkpoints.base, this.checkpoints.model),
    )
    const kernel = await this.#kernel
    const norms = {
      base: await finalNorm(this.checkpoints.base, this.runtime),
      model: await finalNorm(this.checkpoints.model, this.runtime),
    }
    for await (const tiles of this.#tiles()) {
      const { start, end } = tiles.base
      const numbers = Float32Array.from({ length: end - start }, (_, index) => index)
      const index = await this.runtime.upload(numbers, [end - start])
      try {
        for (const part of parts) {
          for (let row = 0; row < part.targets.length; row += this.#rowsAtOnce) {
            await this.#run(kernel, { tiles, norms, index }, part, row)
            yield
            await setImmediate()
            this.signal.throwIfAborted()
          }
        }
      } finally {
        this.runtime.release(index)
      }
    }
  }

  async #run(
    kernel: Kernel,
    { tiles, norms, index }: PairFeeds,
    { hidden, targets, scores }: PairedPositions,
    row: number,
  ): Promise<void> {
    const here = targets.subarray(row, row + this.#rowsAtOnce)
    const { local, isHere } = within(tiles.base, here)
    const feeds: Record<string, Tensor> = {
      [HEAD_IO.target]: this.runtime.int64(local, [here.length, 1]),
      [DIVERGENCE_IO.index]: index,
    }
    for (const side of SIDES) {
      const { hiddenSize } = this.checkpoints[side].config
      feeds[sided(side, HEAD_IO.hidden)] = this.runtime.rows(
        hidden[side],
        hiddenSize,
        row,
        here.length,
      )
      feeds[sided(side, HEAD_IO.norm)] = norms[side]
      feeds[sided(side, HEAD_IO.matrix)] = tiles[side].tensor
    }
    const results = await kernel.run(feeds)
    const [base, model] = [outcomesOf(results, 'base'), outcomesOf(results, 'model')]
    const cross = results.floats(DIVERGENCE_IO.cross)
    for (let at = 0; at < here.length; at += 1) {
      const isTarget = isHere(here[at] ?? -1)
      const { start } = tiles.base
      scores.add(row + at, base(at, start, isTarget), model(at, start, isTarget), cross[at] ?? NaN)
    }
  }

  /** Both output matrices, the same rows of each at a time. */
  async *#tiles(): AsyncGenerator<Readonly<Record<Side, VocabularyTile>>> {
    const others = this.#matrices.model.tiles(this.runtime, this.signal)
    try {
      for await (const base of this.#matrices.base.tiles(this.runtime, this.signal)) {
        const next = await others.next()
        if (next.done !== true) yield { base, model: next.value }
      }
    } finally {
      await others.return(undefined)
    }
  }

  /** Frees its kernel; it is compiled again where it is used again. */
  async dispose(): Promise<void> {
    const kernel = await this.#kernel?.catch(() => null)
    this.#kernel = null
    await kernel?.dispose()
  }
}

/** What a run is fed beside the positions. */
interface PairFeeds {
  readonly tiles: Readonly<Record<Side, VocabularyTile>>
  readonly norms: Readonly<Record<Side, Tensor>>
  readonly index: Tensor
}

/** Reads a side's outcomes, by the row of the run. */
function outcomesOf(
  results: Results,
  side: Side,
): (at: number, start: number, isTarget: boolean) => SideOutcome {
  const floats = (name: string): Float32Array => results.floats(sided(side, name))
  const [max, sum] = [floats(HEAD_IO.max), floats(HEAD_IO.sum)]
  const [logit, top] = [floats(HEAD_IO.logit), floats(DIVERGENCE_IO.top)]
  return (at, start, isTarget) => ({
    max: max[at] ?? NaN,
    sum: sum[at] ?? NaN,
    logit: isTarget ? (logit[at] ?? NaN) : null,
    top: start + (top[at] ?? NaN),
  })
}
