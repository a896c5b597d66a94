import { buildScoringHead, HEAD_IO, TargetScores } from '../decoder/head'
import type { KernelCache } from '../decoder/KernelCache'
import { within } from '../decoder/OutputHead'
import type { VocabularyTile } from '../decoder/VocabularyMatrix'
import type { CompileOptions, Feeds, Runtime, Tensor } from '../onnx/Runtime'
import { buildLossHead, buildNormSlope, buildTileSlope, LOSS_IO, SLOPE_IO } from './graphs'
import type { TrainingModel } from './memory'
import type { Vocabulary } from './Vocabulary'

/** Rows of hidden states at the model's end, and what they predict. */
export interface PredictingRows {
  /** `[windows, length, hiddenSize]`, before the final norm. */
  readonly hidden: Tensor
  /** `[windows · length]` token ids; −1 where nothing is predicted. */
  readonly targets: Int32Array
  /** `[windows · length]`: each row's part in the loss; 0 where nothing is predicted. */
  readonly share: Float32Array
}

/** Some of them as they are fed. */
interface Piece {
  readonly hidden: Tensor
  readonly targets: Int32Array
  readonly share: Float32Array
  /** Where the slope is to be; none where results stay on the device. */
  readonly slope: Tensor | null
}

/**
 * The model's end: what the loss is, and its slope at the last layer's output. The output matrix is frozen, so it has no
 * gradient. In one piece it takes two products; in tiles three, as the whole vocabulary has to be scored first.
 */
export class LossHead {
  constructor(
    private readonly model: TrainingModel,
    private readonly runtime: Runtime,
    private readonly vocabulary: Vocabulary,
    private readonly kernels: KernelCache,
    private readonly options: {
      /** Rows that are computed at once, where they lie on the host. */
      readonly rowsAtOnce: number
      readonly compile: CompileOptions
      readonly signal: AbortSignal
    },
  ) {}

  /** How often {@link slopes} and {@link score} yield for so many rows. */
  runsFor(rows: number, isScored = false): number {
    const runs = Math.ceil(rows / this.options.rowsAtOnce) * this.vocabulary.tileCount
    return isScored || this.vocabulary.isWhole ? runs : 2 * runs
  }

  /**
   * Loss and slopes of some rows.
   *
   * @param slopes Arrays of the host for the slopes, shaped as the hidden states; `null` where results stay on a device.
   * @returns Σ share · nll, and a slope for each of `rows`.
   */
  async *slopes(
    rows: readonly PredictingRows[],
    slopes: readonly Tensor[] | null,
  ): AsyncGenerator<void, { loss: number; slopes: Tensor[] }> {
    const pieces = rows.map((each, index) => this.#pieces(each, slopes?.[index] ?? null))
    const results: (Tensor | null)[] = slopes ? [...slopes] : rows.map(() => null)
    let loss = 0
    if (this.vocabulary.isWhole) {
      for await (const tile of this.vocabulary.tiles()) {
        for (const [index, own] of pieces.entries()) {
          for (const piece of own) {
            const found = await this.#whole(piece, tile)
            loss += found.loss
            results[index] = slopes?.[index] ?? found.slope
            yield
          }
        }
      }
    } else {
      const scored = pieces.map((own) => own.map(({ targets }) => new TargetScores(targets.length)))
      for await (const tile of this.vocabulary.tiles()) {
        for (const [index, own] of pieces.entries()) {
          for (const [place, piece] of own.entries()) {
            await this.#score(piece, tile, scored[index]![place]!)
            yield
          }
        }
      }
      loss = meanOf(pieces, scored, (_, piece, row) => piece.share[row] ?? 0)
      const sums = new Map<Piece, Tensor>()
      for await (const tile of this.vocabulary.tiles()) {
        for (const [index, own] of pieces.entries()) {
          for (const [place, piece] of own.entries()) {
            await this.#addTile(piece, tile, scored[index]![place]!, sums)
            yield
          }
        }
      }
      for (const [index, own] of pieces.entries()) {
        for (const piece of own) {
          const slope = await this.#throughNorm(piece, sums.get(piece)!)
          results[index] = slopes?.[index] ?? slope
        }
      }
    }
    return { loss, slopes: results.flatMap((slope) => slope ?? []) }
  }

  /** Σ −ln p over the rows that predict something, of each of `rows` and of all, and how many those are. */
  async *score(
    rows: readonly PredictingRows[],
  ): AsyncGenerator<void, { sum: number; sums: number[]; predicted: number }> {
    const pieces = rows.map((each) => this.#pieces(each, null))
    const scored = pieces.map((own) => own.map(({ targets }) => new TargetScores(targets.length)))
    for await (const tile of this.vocabulary.tiles()) {
      for (const [index, own] of pieces.entries()) {
        for (const [place, piece] of own.entries()) {
          await this.#score(piece, tile, scored[index]![place]!)
          yield
        }
      }
    }
    let predicted = 0
    const sums = pieces.map((own, index) =>
      meanOf([own], [scored[index]!], (target) => {
        if (target < 0) return 0
        predicted += 1
        return 1
      }),
    )
    return { sum: sums.reduce((a, b) => a + b, 0), sums, predicted }
  }

  /** On the host a product takes some rows at a time, where they lie; a device takes what lies there as it is. */
  #pieces({ hidden, targets, share }: PredictingRows, slope: Tensor | null): Piece[] {
    if (hidden.location !== 'cpu' || this.runtime.placement.keepsResults) {
      return [{ hidden, targets, share, slope: null }]
    }
    const width = this.model.config.hiddenSize
    const { rowsAtOnce } = this.options
    const pieces: Piece[] = []
    for (let row = 0; row < targets.length; row += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, targets.length - row)
      const view = (tensor: Tensor): Tensor =>
        this.runtime.rows(tensor.data as Float32Array, width, row, count)
      pieces.push({
        hidden: view(hidden),
        targets: targets.subarray(row, row + count),
        share: share.subarray(row, row + count),
        slope: slope && view(slope),
      })
    }
    return pieces
  }

  async #whole(piece: Piece, tile: VocabularyTile): Promise<{ loss: number; slope: Tensor }> {
    const length = lengthOf(piece)
    const kernel = await this.kernels.get(
      `loss/${length}`,
      () => buildLossHead(this.model, length),
      { ...this.options.compile, resident: [SLOPE_IO.above] },
    )
    const { local } = within(tile, piece.targets)
    const results = await kernel.run(
      {
        [HEAD_IO.hidden]: piece.hidden,
        [HEAD_IO.norm]: this.vocabulary.norm,
        [HEAD_IO.matrix]: tile.tensor,
        [HEAD_IO.target]: this.runtime.int64(local, [local.length, 1]),
        [LOSS_IO.share]: this.#column(piece.share),
      },
      into(SLOPE_IO.above, piece.slope),
    )
    const nll = results.floats(LOSS_IO.nll)
    const loss = piece.share.reduce(
      (sum, share, row) => (share === 0 ? sum : sum + share * (nll[row] ?? NaN)),
      0,
    )
    this.options.signal.throwIfAborted()
    return { loss, slope: results.one(SLOPE_IO.above) }
  }

  async #score(piece: Piece, tile: VocabularyTile, scores: TargetScores): Promise<void> {
    const length = lengthOf(piece)
    const kernel = await this.kernels.get(
      `score/${length}`,
      () => buildScoringHead(this.model, length),
      this.options.compile,
    )
    const { local, isHere } = within(tile, piece.targets)
    const results = await kernel.run({
      [HEAD_IO.hidden]: piece.hidden,
      [HEAD_IO.norm]: this.vocabulary.norm,
      [HEAD_IO.matrix]: tile.tensor,
      [HEAD_IO.target]: this.runtime.int64(local, [local.length, 1]),
    })
    const [max, sum, logit] = [HEAD_IO.max, HEAD_IO.sum, HEAD_IO.logit].map((name) =>
      results.floats(name),
    ) as [Float32Array, Float32Array, Float32Array]
    piece.targets.forEach((target, row) => {
      const found = isHere(target) ? (logit[row] ?? NaN) : null
      scores.add(row, max[row] ?? NaN, sum[row] ?? NaN, found)
    })
    this.options.signal.throwIfAborted()
  }

  async #addTile(
    piece: Piece,
    tile: VocabularyTile,
    scores: TargetScores,
    sums: Map<Piece, Tensor>,
  ): Promise<void> {
    const length = lengthOf(piece)
    const kernel = await this.kernels.get(
      `tile/${length}`,
      () => buildTileSlope(this.model, length),
      { ...this.options.compile, resident: [LOSS_IO.after] },
    )
    const { local, isHere } = within(tile, piece.targets)
    const before = sums.get(piece) ?? this.#zeros(piece)
    const results = await kernel.run(
      {
        [HEAD_IO.hidden]: piece.hidden,
        [HEAD_IO.norm]: this.vocabulary.norm,
        [HEAD_IO.matrix]: tile.tensor,
        [HEAD_IO.target]: this.runtime.int64(local, [local.length, 1]),
        [LOSS_IO.share]: this.#column(piece.share),
        [LOSS_IO.here]: this.#column(
          piece.share.map((share, row) => (isHere(piece.targets[row] ?? -1) ? share : 0)),
        ),
        [LOSS_IO.logSum]: this.#column(piece.share.map((_, row) => scores.logSum(row))),
        [LOSS_IO.before]: before,
      },
      into(LOSS_IO.after, before.location === 'cpu' ? before : null),
    )
    const after = results.one(LOSS_IO.after)
    if (after !== before) this.runtime.release(before)
    sums.set(piece, after)
    this.options.signal.throwIfAborted()
  }

  async #throughNorm(piece: Piece, before: Tensor): Promise<Tensor> {
    const length = lengthOf(piece)
    const kernel = await this.kernels.get(
      `norm/${length}`,
      () => buildNormSlope(this.model, length),
      { ...this.options.compile, resident: [SLOPE_IO.above] },
    )
    const results = await kernel.run(
      {
        [HEAD_IO.hidden]: piece.hidden,
        [HEAD_IO.norm]: this.vocabulary.norm,
        [LOSS_IO.before]: before,
      },
      into(SLOPE_IO.above, piece.slope),
    )
    this.runtime.release(before)
    return results.one(SLOPE_IO.above)
  }

  #column(values: Float32Array): Tensor {
    return this.runtime.float32(values, [values.length, 1])
  }

  #zeros({ targets }: Piece): Tensor {
    const { hiddenSize } = this.model.config
    const dims = [targets.length, hiddenSize]
    return this.runtime.float32(new Float32Array(targets.length * hiddenSize), dims)
  }
}

/** Tokens of a sequence where hidden states are `[windows, length, hiddenSize]`; nothing where they are rows. */
function lengthOf({ hidden }: Piece): number | undefined {
  return hidden.dims.length === 3 ? hidden.dims[1] : undefined
}

function into(name: string, tensor: Tensor | null): Feeds {
  return tensor ? { [name]: tensor } : {}
}

/** Σ weight · nll over all rows. */
function meanOf(
  pieces: readonly (readonly Piece[])[],
  scored: readonly (readonly TargetScores[])[],
  weightOf: (target: number, piece: Piece, row: number) => number,
): number {
  let sum = 0
  pieces.forEach((own, index) => {
    own.forEach((piece, place) => {
      piece.targets.forEach((target, row) => {
        const weight = weightOf(target, piece, row)
        if (weight !== 0) sum += weight * scored[index]![place]!.nll(row)
      })
    })
  })
  return sum
}
