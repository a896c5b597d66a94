import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { AppError } from '@shared/errors'
import { bytesOf } from '../matrix'

/** Every platform takes arrays of less than 2 GiB. */
const MAX_ARRAY_LENGTH = (2 ** 31 - 2 ** 20) / Float32Array.BYTES_PER_ELEMENT

/** Where a store keeps its rows: as one array for each layer, or in a file when they would not fit in memory. */
type Backing =
  | {
      readonly kind: 'memory'
      /** `[storedRank, width]` each. */
      readonly layers: Float32Array[]
      /** All of them, one after the other. */
      readonly whole: Float32Array | null
    }
  | { readonly kind: 'file'; readonly descriptor: number; readonly path: string }

/**
 * Every layer's coordinates `V_i`, float32 `[rank, width]`, row-major: in memory or in a file. Rows written are divided
 * by their singular values when {@link setRowScale} says so.
 */
export class CoordinateStore {
  private rowScale: Float32Array | null = null
  private visibleRank: number

  private constructor(
    private backing: Backing,
    readonly layerCount: number,
    /** Rows of a layer as they lie in the backing. */
    readonly storedRank: number,
    readonly width: number,
  ) {
    this.visibleRank = storedRank
  }

  static inMemory(layerCount: number, rank: number, width: number): CoordinateStore {
    const size = rank * width
    // One array for all, where it does not become too long: then a graph can pick rows of any layer from it.
    const whole = layerCount * size <= MAX_ARRAY_LENGTH ? new Float32Array(layerCount * size) : null
    const layers = Array.from({ length: layerCount }, (_, layer) =>
      whole ? whole.subarray(layer * size, (layer + 1) * size) : new Float32Array(size),
    )
    return new CoordinateStore({ kind: 'memory', layers, whole }, layerCount, rank, width)
  }

  /** Keeps the rows in `path`, which is created. Whoever owns the folder removes the file. */
  static inFile(path: string, layerCount: number, rank: number, width: number): CoordinateStore {
    const descriptor = openSync(path, 'w+')
    return new CoordinateStore({ kind: 'file', descriptor, path }, layerCount, rank, width)
  }

  /** Opens what {@link inFile} or {@link save} wrote, for reading. */
  static openFile(path: string, layerCount: number, rank: number, width: number): CoordinateStore {
    const descriptor = openSync(path, 'r')
    return new CoordinateStore({ kind: 'file', descriptor, path }, layerCount, rank, width)
  }

  /** The file that holds the rows, or `null`. */
  get path(): string | null {
    return this.backing.kind === 'file' ? this.backing.path : null
  }

  /**
   * All rows as one array `[layers · storedRank, width]`; `null` where they are in a file, or too many for an array.
   */
  get whole(): Float32Array | null {
    return this.backing.kind === 'memory' ? this.backing.whole : null
  }

  /** Writes all rows to a file, layer by layer. */
  async save(path: string): Promise<void> {
    const handle = await open(path, 'w')
    try {
      for (let layer = 0; layer < this.layerCount; layer += 1) {
        await handle.writeFile(bytesOf(this.layer(layer)))
      }
    } finally {
      await handle.close()
    }
  }

  /** The same rows in memory; closes this store. */
  intoMemory(): CoordinateStore {
    const copy = CoordinateStore.inMemory(this.layerCount, this.rank, this.width)
    for (let layer = 0; layer < this.layerCount; layer += 1) {
      this.copyRows(layer, 0, this.rank, copy.layer(layer), 0)
    }
    this.close()
    return copy
  }

  /** Rows of a layer. */
  get rank(): number {
    return this.visibleRank
  }

  get byteLength(): number {
    return this.layerCount * this.storedRank * this.width * Float32Array.BYTES_PER_ELEMENT
  }

  /** Where rows `first … first + count − 1` of a layer lie, to be written there; `null` when that is in a file. */
  place(layer: number, first: number, count: number): Float32Array | null {
    if (this.backing.kind === 'file') return null
    return this.layer(layer).subarray(first * this.width, (first + count) * this.width)
  }

  /** Copies rows into the store, from row `first` of a layer on. */
  write(layer: number, first: number, rows: Float32Array): void {
    const { width, backing, storedRank } = this
    if (first * width + rows.length > storedRank * width) {
      throw new AppError('bug', `Layer ${layer} has no room for ${rows.length} coordinates.`)
    }
    if (backing.kind === 'memory') {
      this.layer(layer).set(rows, first * width)
      return
    }
    const bytes = bytesOf(rows)
    const start = (layer * storedRank + first) * width * Float32Array.BYTES_PER_ELEMENT
    for (let done = 0; done < bytes.length;) {
      done += writeSync(backing.descriptor, bytes, done, bytes.length - done, start + done)
    }
  }

  /** Forgets all rows from `rank` on. */
  truncate(rank: number): void {
    this.visibleRank = rank
  }

  /** Multiplies row k of every layer by `scale[k]`, now for rows in memory and on reading for rows in a file. */
  setRowScale(scale: Float32Array): void {
    if (this.backing.kind === 'file') {
      this.rowScale = scale
      return
    }
    for (const rows of this.backing.layers) {
      scaleRows(rows.subarray(0, this.rank * this.width), scale, 0, this.width)
    }
  }

  /** Rows `first … first + count − 1` of a layer, into `target` at `offset`. */
  copyRows(
    layer: number,
    first: number,
    count: number,
    target: Float32Array,
    offset: number,
  ): void {
    const { width } = this
    if (this.backing.kind === 'memory') {
      target.set(this.layer(layer).subarray(first * width, (first + count) * width), offset)
      return
    }
    const part = target.subarray(offset, offset + count * width)
    const bytes = bytesOf(part)
    const position = (layer * this.storedRank + first) * width * Float32Array.BYTES_PER_ELEMENT
    let read = 0
    while (read < bytes.length) {
      const got = readSync(
        this.backing.descriptor,
        bytes,
        read,
        bytes.length - read,
        position + read,
      )
      if (got === 0) {
        throw new AppError('write_failed', 'The coordinate file is shorter than it should be.', {
          context: { file: this.backing.path },
        })
      }
      read += got
    }
    if (this.rowScale) scaleRows(part, this.rowScale, first, width)
  }

  /** A layer's rows `[rank, width]`; of a store in memory they are its own, not a copy. */
  layer(layer: number): Float32Array {
    const { backing, width } = this
    if (backing.kind === 'memory') {
      const rows = backing.layers[layer]
      if (!rows) throw new AppError('bug', `There is no layer ${layer}, or the store is closed.`)
      return rows.subarray(0, this.rank * width)
    }
    const rows = new Float32Array(this.rank * width)
    this.copyRows(layer, 0, this.rank, rows, 0)
    return rows
  }

  /** Lets go of the rows. */
  close(): void {
    if (this.backing.kind === 'file') closeSync(this.backing.descriptor)
    else this.backing = { kind: 'memory', layers: [], whole: null }
  }
}

function scaleRows(rows: Float32Array, scale: Float32Array, first: number, width: number): void {
  for (let row = 0; row * width < rows.length; row += 1) {
    const factor = scale[first + row]!
    const end = (row + 1) * width
    for (let at = row * width; at < end; at += 1) rows[at]! *= factor
  }
}
