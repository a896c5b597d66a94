import type { CoordinateStore } from '../decomposition/CoordinateStore'
import { AppError } from '@shared/errors'

/** Rows by number: each sample's neighbours and its target. */
export interface SamplePlaces {
  readonly left: Int32Array
  readonly right: Int32Array
  readonly target: Int32Array
}

/**
 * A predictor's samples: for each layer with two neighbours and each row k, both neighbours' rows as input and the
 * layer's own row as target (ACL 2025, section 3.2).
 */
export class Samples {
  /** Layers whose rows are targets. */
  readonly targets: readonly number[]
  readonly count: number

  /** @param without A layer to leave out as a target. */
  constructor(
    private readonly store: CoordinateStore,
    options: { readonly only?: number; readonly without?: number } = {},
  ) {
    const inner = Array.from({ length: Math.max(0, store.layerCount - 2) }, (_, i) => i + 1)
    this.targets = inner.filter(
      (layer) =>
        layer !== options.without && (options.only === undefined || layer === options.only),
    )
    if (this.targets.length === 0) {
      throw new AppError('bad_request', 'No layer with two neighbours is left to learn from.', {
        hint: 'LESA needs at least 3 layers, and 4 when one is held out; only inner layers can be.',
      })
    }
    this.count = this.targets.length * store.rank
  }

  get width(): number {
    return this.store.width
  }

  /** All rows of the store `[n, width]`, where it has them as one array. */
  get all(): Float32Array | null {
    return this.store.whole
  }

  /**
   * Where the samples at `indices` have their rows.
   *
   * @param copied Receives copies of just these rows, `[3·n, width]`, and the places are among them; without it they are
   *   among {@link all}.
   */
  locate(indices: Uint32Array, copied?: Float32Array): SamplePlaces {
    const { store, width } = this
    const places = {
      left: new Int32Array(indices.length),
      right: new Int32Array(indices.length),
      target: new Int32Array(indices.length),
    }
    const names = ['left', 'target', 'right'] as const
    indices.forEach((sample, at) => {
      const { layer, row } = this.place(sample)
      names.forEach((name, k) => {
        const source = layer - 1 + k
        if (copied) store.copyRows(source, row, 1, copied, (3 * at + k) * width)
        places[name][at] = copied ? 3 * at + k : source * store.storedRank + row
      })
    })
    return places
  }

  private place(sample: number): { layer: number; row: number } {
    const { rank } = this.store
    return { layer: this.targets[Math.floor(sample / rank)]!, row: sample % rank }
  }

  /** Writes inputs `[n, 2·width]` and targets `[n, width]` of the samples at `indices`. */
  fill(indices: Uint32Array, x: Float32Array, y: Float32Array): void {
    const { store, width } = this
    for (let at = 0; at < indices.length; at += 1) {
      const { layer, row } = this.place(indices[at]!)
      store.copyRows(layer - 1, row, 1, x, at * 2 * width)
      store.copyRows(layer + 1, row, 1, x, (at * 2 + 1) * width)
      store.copyRows(layer, row, 1, y, at * width)
    }
  }
}
