/** Figures of one tensor; sums are float64. Values that are not finite count only in `nonFinite`. */
export interface TensorStatistics {
  /** Frobenius norm. */
  readonly norm: number
  readonly meanAbs: number
  readonly maxAbs: number
  readonly nan: number
  readonly infinite: number
}

/** Statistics of a checkpoint's layers, and what is wrong with its numbers anywhere. */
export interface ModelStatistics {
  readonly layers: number
  /**
   * By weight type, in the architecture's order, and, after them, by every other tensor that all layers have
   * (`input_layernorm.weight`); `cells[i]` is layer i's. A column of the layer strip is `rows.map((row) => row.cells[i])`.
   */
  readonly rows: readonly {
    readonly key: string
    /** True for the matrices that LESA predicts. */
    readonly isWeightType: boolean
    readonly cells: readonly TensorStatistics[]
    /**
     * Share of the row's spectrum that each layer holds: ‖W_i‖² over Σσ² of the concatenated layers, which is the sum of
     * all ‖W_j‖². They add up to 1.
     */
    readonly spectrumShares: readonly number[]
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
