import {
  rowsOf,
  type CoordinateStore,
  type Precision,
  type StoredRows,
} from '../decomposition/CoordinateStore'
import { AppError } from '@shared/errors'
import { innerLayers, layersLeft } from '@shared/holdout'

/** Rows by number: each sample's neighbours and its target. */
export interface SamplePlaces {
  readonly left: Int32Array
  readonly right: Int32Array
  readonly target: Int32Array
}

/** Rows as they are stored, `[n, width]`, and what each of them is to be multiplied by, `[n]`. */
export interface ScaledRows {
  readonly rows: StoredRows
  readonly scales: Float32Array
}

function emptyPlaces(count: number): SamplePlaces {
  return {
    left: new Int32Array(count),
    right: new Int32Array(count),
    target: new Int32Array(count),
  }
}

/**
 * Layers of a store whose samples a training may see.
 *
 * @param chains How many chains of layers are in the store, one after the other: of checkpoints, of experts. No sample has
 *   layers of several.
 * @param keptOut Places that no sample may have, of any chain: a further checkpoint's is nearly the same.
 */
export function targetsIn(
  { layerCount }: Pick<CoordinateStore, 'layerCount'>,
  chains: number,
  keptOut: readonly number[] = [],
): number[] {
  const own = layerCount / chains
  const left = layersLeft(keptOut, own)
  return Array.from({ length: chains }, (_, index) => index * own).flatMap((first) =>
    left.map((layer) => first + layer),
  )
}

/**
 * A predictor's samples: for each layer with two neighbours and each row k, both neighbours' rows as input and the
 * layer's own row as target (ACL 2025, section 3.2).
 */
export class Samples {
  readonly count: number

  /** @param targets Layers whose rows are targets, each with two neighbours. */
  constructor(
    private readonly store: CoordinateStore,
    readonly targets: readonly number[] = innerLayers(store.layerCount),
  ) {
    if (targets.length === 0) {
      throw new AppError('bad_request', 'No layer with two neighbours is left to learn from.', {
        hint: 'LESA needs at least 3 layers, and 5 when one is held out; only inner layers can be.',
      })
    }
    this.count = targets.length * store.rank
  }

  get width(): number {
    return this.store.width
  }

  get precision(): Precision {
    return this.store.precision
  }

  /** All rows of the store, `[layers · storedRank, width]`, where it has them as one array. */
  get all(): ScaledRows | null {
    const { whole, scales } = this.store
    return whole && { rows: whole, scales }
  }

  /** Rows of a layer in {@link all}. */
  get storedRank(): number {
    return this.store.storedRank
  }

  /** Rows of a layer. */
  get rank(): number {
    return this.store.rank
  }

  /** Rows of all layers. */
  get rowCount(): number {
    return this.store.layerCount * this.store.rank
  }

  /** Columns `start … end − 1` of the stored rows of all layers, `[rowCount, end − start]`, as float32. */
  columns(start: number, end: number): Float32Array {
    const { store, width, rank } = this
    const columns = end - start
    const values = new Float32Array(this.rowCount * columns)
    const rows = new Float32Array(rank * width)
    for (let layer = 0; layer < store.layerCount; layer += 1) {
      store.copyStored(layer, 0, rank, rows, 0)
      for (let row = 0; row < rank; row += 1) {
        const from = row * width
        values.set(rows.subarray(from + start, from + end), (layer * rank + row) * columns)
      }
    }
    return values
  }

  /** What the rows of {@link columns} are to be multiplied by, `[rowCount]`. */
  columnScales(): Float32Array {
    const { scales, layerCount, storedRank } = this.store
    const { rank } = this
    const values = new Float32Array(this.rowCount)
    for (let layer = 0; layer < layerCount; layer += 1) {
      const start = layer * storedRank
      values.set(scales.subarray(start, start + rank), layer * rank)
    }
    return values
  }

  /**
   * Where the samples at `indices` have their rows.
   *
   * @param layerRows Rows of a layer among those that are numbered.
   */
  locate(indices: Uint32Array, layerRows: number): SamplePlaces {
    const places = emptyPlaces(indices.length)
    indices.forEach((sample, at) => {
      const { layer, row } = this.place(sample)
      const own = layer * layerRows + row
      places.left[at] = own - layerRows
      places.right[at] = own + layerRows
      places.target[at] = own
    })
    return places
  }

  /** Copies just these samples' rows, `[3·n, width]`, and says where they are in the copy. */
  copy(indices: Uint32Array, precision: Precision): ScaledRows & { places: SamplePlaces } {
    const { store, width } = this
    const count = 3 * indices.length
    const rows = rowsOf(precision, count * width)
    const scales = new Float32Array(count)
    const places = emptyPlaces(indices.length)
    indices.forEach((sample, at) => {
      const { layer, row } = this.place(sample)
      const names = ['left', 'target', 'right'] as const
      names.forEach((name, k) => {
        const [from, to] = [layer - 1 + k, 3 * at + k]
        places[name][at] = to
        scales[to] = store.scales[from * store.storedRank + row]!
        store.copyStored(from, row, 1, rows, to * width)
      })
    })
    return { rows, scales, places }
  }

  private place(sample: number): { layer: number; row: number } {
    const { rank } = this.store
    return { layer: this.targets[Math.floor(sample / rank)]!, row: sample % rank }
  }

  /** Writes both neighbours' rows and the targets of the samples at `indices`, `[n, width]` each. */
  fill(
    indices: Uint32Array,
    { left, right, target }: Readonly<Record<keyof SamplePlaces, Float32Array>>,
  ): void {
    const { store, width } = this
    indices.forEach((sample, at) => {
      const { layer, row } = this.place(sample)
      store.copyRows(layer - 1, row, 1, left, at * width)
      store.copyRows(layer + 1, row, 1, right, at * width)
      store.copyRows(layer, row, 1, target, at * width)
    })
  }
}
