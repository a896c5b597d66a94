import type { CoordinateStore } from '../decomposition/CoordinateStore'
import { AppError } from '@shared/errors'

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

  /** Writes inputs `[n, 2·width]` and targets `[n, width]` of the samples at `indices`. */
  fill(indices: Uint32Array, x: Float32Array, y: Float32Array): void {
    const { store, width, targets } = this
    for (let at = 0; at < indices.length; at += 1) {
      const sample = indices[at]!
      const layer = targets[Math.floor(sample / store.rank)]!
      const row = sample % store.rank
      store.copyRows(layer - 1, row, 1, x, at * 2 * width)
      store.copyRows(layer + 1, row, 1, x, (at * 2 + 1) * width)
      store.copyRows(layer, row, 1, y, at * width)
    }
  }
}
