/** Figures of one tensor; sums are float64. Values that are not finite count only in `nonFinite`. */
export interface TensorStatistics {
  /** Frobenius norm. */
  readonly norm: number
  readonly meanAbs: number
  readonly maxAbs: number
  readonly nan: number
  readonly infinite: number
}

/** What there is to know of one tensor's values; sums are float64. */
export interface TensorDetails {
  readonly name: string
  /** `null` where the element type is not read as floats here. */
  readonly figures: {
    readonly count: number
    readonly norm: number
    /** Of the finite values, as are the rest; 0 where there is none. */
    readonly mean: number
    readonly deviation: number
    readonly min: number
    readonly max: number
    readonly zeros: number
    readonly nan: number
    readonly infinite: number
    readonly histogram: Histogram
  } | null
}

/** Counts in bars of equal width from `low` to `high`, and of the values beyond. */
export interface Histogram {
  readonly low: number
  readonly high: number
  readonly counts: readonly number[]
  readonly below: number
  readonly above: number
}

/** Statistics of a checkpoint's layers, and what is wrong with its numbers anywhere. */
export interface ModelStatistics {
  readonly layers: number
  /** What layer 7's tensors are called: this, `7.`, and a row's `suffix`. */
  readonly layerPrefix: string
  /**
   * By weight type, in the architecture's order, and, after them, by every other tensor of a layer
   * (`input_layernorm.weight`); `cells[i]` is layer i's, `null` where that layer has none: layers with experts differ from
   * those without. All experts of a layer are one cell. A column of the layer strip is `rows.map((row) => row.cells[i])`.
   */
  readonly rows: readonly {
    readonly key: string
    /** True for the matrices that LESA predicts. */
    readonly isWeightType: boolean
    readonly cells: readonly (TensorStatistics | null)[]
    /** Of the tensor that holds it, of experts the first one's; several rows may be parts of one. */
    readonly suffix: string
  }[]
  /** Tensors outside the layers: embeddings, final norm, head. */
  readonly others: readonly { readonly name: string; readonly statistics: TensorStatistics }[]
  /** Every tensor with NaN or infinite values, worst first; at most 1,000 of them. */
  readonly damaged: readonly {
    readonly name: string
    readonly nan: number
    readonly infinite: number
  }[]
  readonly damagedCount: number
}

/** What is known of a checkpoint's statistics now. */
export type StatisticsState =
  /** Not computed yet, or the checkpoint has changed since. */
  | { readonly state: 'absent' }
  /** A job computes them; it is in the list of jobs. */
  | { readonly state: 'running'; readonly job: string }
  | { readonly state: 'ready'; readonly statistics: ModelStatistics }

/**
 * All tensors of a checkpoint, column by column, so that half a million of them stay small: row i is `names[i]`,
 * `dtypes[dtypeOf[i]]`, `shapes[shapeOf[i]]`, `shards[shardOf[i]]`, `bytes[i]`. In the order of a state dict.
 */
export interface TensorTable {
  readonly names: readonly string[]
  readonly bytes: readonly number[]
  readonly dtypes: readonly string[]
  readonly dtypeOf: readonly number[]
  readonly shapes: readonly (readonly number[])[]
  readonly shapeOf: readonly number[]
  readonly shards: readonly string[]
  readonly shardOf: readonly number[]
}
