import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { AppError } from '@shared/errors'
import { bytesOf } from '../../lib/matrix'
import { makeRoom, noteAllocation } from '../../onnx/hostMemory'

/**
 * How a store keeps its numbers. `float32`: as they are. `int16`: as integers times a step of each row, its largest
 * magnitude over 32,767, in half the memory. An element is then off by half a step at most, about 4e-5 of a row's root
 * mean square where its elements are normally distributed: less than the rounding of the weights themselves, where
 * these are BF16 or F16.
 */
export const PRECISIONS = ['float32', 'int16'] as const
export type Precision = (typeof PRECISIONS)[number]

/** Numbers as a store keeps them. */
export type StoredRows = Float32Array | Int16Array

const ARRAYS = { float32: Float32Array, int16: Int16Array } as const

/** Bytes of one number. */
export const bytesOfPrecision = (precision: Precision): number =>
  ARRAYS[precision].BYTES_PER_ELEMENT

/** Zeros. */
export function rowsOf(precision: Precision, length: number): StoredRows {
  makeRoom()
  noteAllocation(length * bytesOfPrecision(precision))
  return new ARRAYS[precision](length)
}

export const INT16_MAX = 32_767

/** Every kind of process takes arrays up to here. */
const MAX_ARRAY_BYTES = 2 ** 31 - 2 ** 21

export interface StoreShape {
  readonly layerCount: number
  /** Rows of a layer. */
  readonly rank: number
  readonly width: number
  readonly precision: Precision
}

/** Where a store keeps its rows: as one array for each layer, or in a file when they would not fit in memory. */
type Backing =
  | {
      readonly kind: 'memory'
      /** `[storedRank, width]` each. */
      readonly layers: StoredRows[]
      /** All of them, one after the other. */
      readonly whole: StoredRows | null
    }
  | { readonly kind: 'file'; readonly descriptor: number; readonly path: string }

/**
 * Every layer's coordinates `V_i`, `[rank, width]`, row-major, in memory or in a file. A row is what is stored times the
 * row's scale; scales are always in memory.
 */
export class CoordinateStore {
  readonly layerCount: number
  readonly width: number
  readonly precision: Precision
  /** Rows of a layer as they lie in the backing. */
  readonly storedRank: number
  /** `[layerCount · storedRank]`: what each stored row is multiplied by. */
  readonly scales: Float32Array
  private visibleRank: number

  private constructor(
    private backing: Backing,
    shape: StoreShape,
    scales: Float32Array = new Float32Array(shape.layerCount * shape.rank).fill(1),
  ) {
    this.layerCount = shape.layerCount
    this.width = shape.width
    this.precision = shape.precision
    this.storedRank = shape.rank
    this.visibleRank = shape.rank
    this.scales = scales
  }

  static inMemory(shape: StoreShape): CoordinateStore {
    const { layerCount, rank, width, precision } = shape
    const Rows = ARRAYS[precision]
    const size = rank * width
    // One array for all, where it does not become too long: then a graph can pick rows of any layer from it.
    const whole =
      layerCount * size * Rows.BYTES_PER_ELEMENT <= MAX_ARRAY_BYTES
        ? new Rows(layerCount * size)
        : null
    const layers = Array.from({ length: layerCount }, (_, layer) =>
      whole ? whole.subarray(layer * size, (layer + 1) * size) : new Rows(size),
    )
    return new CoordinateStore({ kind: 'memory', layers, whole }, shape)
  }

  /** Keeps the rows in `path`, which is created. Whoever owns the folder removes the file. */
  static inFile(path: string, shape: StoreShape): CoordinateStore {
    return new CoordinateStore({ kind: 'file', descriptor: openSync(path, 'w+'), path }, shape)
  }

  /**
   * Opens what {@link inFile} or {@link save} wrote, for reading.
   *
   * @param scales Those of the store that wrote it, `[layerCount · rank]`.
   */
  static openFile(path: string, shape: StoreShape, scales: Float32Array): CoordinateStore {
    if (scales.length !== shape.layerCount * shape.rank) {
      throw new AppError('bug', `${scales.length} scales do not belong to ${path}.`)
    }
    const backing = { kind: 'file', descriptor: openSync(path, 'r'), path } as const
    return new CoordinateStore(backing, shape, scales)
  }

  /** The file that holds the rows, or `null`. */
  get path(): string | null {
    return this.backing.kind === 'file' ? this.backing.path : null
  }

  /**
   * All stored rows as one array `[layers · storedRank, width]`, row k of it to be multiplied by `scales[k]`; `null` where
   * they are in a file, or too many for an array.
   */
  get whole(): StoredRows | null {
    return this.backing.kind === 'memory' ? this.backing.whole : null
  }

  /** Rows of a layer. */
  get rank(): number {
    return this.visibleRank
  }

  /** Writes all stored rows to a file, layer by layer. */
  async save(path: string): Promise<void> {
    const part = rowsOf(this.precision, this.storedRank * this.width)
    const handle = await open(path, 'w')
    try {
      for (let layer = 0; layer < this.layerCount; layer += 1) {
        this.copyStored(layer, 0, this.storedRank, part, 0)
        await handle.writeFile(bytesOf(part))
      }
    } finally {
      await handle.close()
    }
  }

  /** The same rows in memory; closes this store. */
  intoMemory(): CoordinateStore {
    const { layerCount, storedRank: rank, width, precision } = this
    const copy = CoordinateStore.inMemory({ layerCount, rank, width, precision })
    for (let layer = 0; layer < layerCount; layer += 1) {
      this.copyStored(layer, 0, rank, copy.#layer(layer), 0)
    }
    copy.scales.set(this.scales)
    copy.truncate(this.rank)
    this.close()
    return copy
  }

  /**
   * An array for rows of a layer as they are stored, to be filled and given to {@link write}: their own place, where the
   * store is in memory.
   */
  place(layer: number, first: number, count: number): StoredRows {
    if (first + count > this.storedRank) {
      throw new AppError('bug', `Layer ${layer} has no room for ${count} rows from ${first} on.`)
    }
    return this.backing.kind === 'memory'
      ? this.#stored(layer, first, count)
      : rowsOf(this.precision, count * this.width)
  }

  /**
   * Takes rows into the store, from row `first` of a layer on.
   *
   * @param rows What {@link place} gave.
   * @param scales One for each row.
   */
  write(layer: number, first: number, rows: StoredRows, scales: Float32Array): void {
    const { width, backing, storedRank } = this
    const start = layer * storedRank + first
    this.scales.set(scales, start)
    if (backing.kind === 'memory') return
    const bytes = bytesOf(rows)
    const position = start * width * rows.BYTES_PER_ELEMENT
    for (let done = 0; done < bytes.length;) {
      done += writeSync(backing.descriptor, bytes, done, bytes.length - done, position + done)
    }
  }

  /** Forgets all rows from `rank` on. */
  truncate(rank: number): void {
    this.visibleRank = rank
  }

  /** Multiplies row k of every layer by `factors[k]`. */
  scaleRows(factors: Float32Array): void {
    const { scales, storedRank } = this
    factors.forEach((factor, row) => {
      for (let at = row; at < scales.length; at += storedRank) scales[at]! *= factor
    })
  }

  /** Rows `first … first + count − 1` of a layer, into `target` at `offset`. */
  copyRows(
    layer: number,
    first: number,
    count: number,
    target: Float32Array,
    offset: number,
  ): void {
    const { width, scales, storedRank } = this
    const rows = this.#stored(layer, first, count)
    for (let row = 0; row < count; row += 1) {
      const scale = scales[layer * storedRank + first + row]!
      const to = offset + row * width
      for (let at = 0; at < width; at += 1) target[to + at] = rows[row * width + at]! * scale
    }
  }

  /** The same rows as they are stored, without their scales; as float32 where `target` is. */
  copyStored(
    layer: number,
    first: number,
    count: number,
    target: StoredRows,
    offset: number,
  ): void {
    const part = target.subarray(offset, offset + count * this.width)
    const isFileForm = part instanceof ARRAYS[this.precision]
    if (this.backing.kind === 'file' && isFileForm) this.#readFile(layer, first, part)
    else part.set(this.#stored(layer, first, count))
  }

  /** Lets go of the rows. */
  close(): void {
    if (this.backing.kind === 'file') closeSync(this.backing.descriptor)
    else this.backing = { kind: 'memory', layers: [], whole: null }
  }

  /** Stored rows of a layer; those of a store in memory are its own, not a copy. */
  #stored(layer: number, first: number, count: number): StoredRows {
    const { width } = this
    if (this.backing.kind === 'memory') {
      return this.#layer(layer).subarray(first * width, (first + count) * width)
    }
    const rows = rowsOf(this.precision, count * width)
    this.#readFile(layer, first, rows)
    return rows
  }

  #layer(layer: number): StoredRows {
    const rows = this.backing.kind === 'memory' ? this.backing.layers[layer] : undefined
    if (rows) return rows
    throw new AppError('bug', `There is no layer ${layer}, or the store is closed.`)
  }

  #readFile(layer: number, first: number, rows: StoredRows): void {
    if (this.backing.kind !== 'file') return
    const { descriptor, path } = this.backing
    const bytes = bytesOf(rows)
    const position = (layer * this.storedRank + first) * this.width * rows.BYTES_PER_ELEMENT
    for (let read = 0; read < bytes.length;) {
      const got = readSync(descriptor, bytes, read, bytes.length - read, position + read)
      if (got === 0) {
        throw new AppError('write_failed', 'The coordinate file is shorter than it should be.', {
          context: { file: path },
        })
      }
      read += got
    }
  }
}
