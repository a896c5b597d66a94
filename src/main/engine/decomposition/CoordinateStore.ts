import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { AppError } from '@shared/errors'

/** Where a store keeps its rows: as arrays, or in a file when they would not fit in memory. */
type Backing =
  | { readonly kind: 'memory'; readonly layers: (Float32Array | null)[] }
  | { readonly kind: 'file'; readonly descriptor: number; readonly path: string }

/**
 * Every layer's coordinates `V_i`, float32 `[rank, width]`, row-major: in memory or in a file. Rows written are divided
 * by their singular values when {@link setRowScale} says so.
 */
export class CoordinateStore {
  private rowScale: Float32Array | null = null
  private visibleRank: number

  private constructor(
    private readonly backing: Backing,
    readonly layerCount: number,
    /** Rows of a layer as they lie in the backing. */
    readonly storedRank: number,
    readonly width: number,
  ) {
    this.visibleRank = storedRank
  }

  static inMemory(layerCount: number, rank: number, width: number): CoordinateStore {
    const layers = new Array<Float32Array | null>(layerCount).fill(null)
    return new CoordinateStore({ kind: 'memory', layers }, layerCount, rank, width)
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

  /** Writes all rows to a file, layer by layer. */
  async save(path: string): Promise<void> {
    const handle = await open(path, 'w')
    try {
      for (let layer = 0; layer < this.layerCount; layer += 1) {
        const { buffer, byteOffset, byteLength } = this.layer(layer)
        await handle.writeFile(new Uint8Array(buffer, byteOffset, byteLength))
      }
    } finally {
      await handle.close()
    }
  }

  /** The same rows in memory; closes this store. */
  intoMemory(): CoordinateStore {
    const copy = CoordinateStore.inMemory(this.layerCount, this.rank, this.width)
    for (let layer = 0; layer < this.layerCount; layer += 1) copy.write(layer, this.layer(layer))
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

  /** Takes over a layer's rows; the array belongs to the store afterwards. */
  write(layer: number, rows: Float32Array): void {
    if (rows.length !== this.storedRank * this.width) {
      throw new AppError('bug', `Layer ${layer} has ${rows.length} coordinates.`)
    }
    if (this.backing.kind === 'memory') {
      this.backing.layers[layer] = rows
      return
    }
    const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength)
    let written = 0
    while (written < bytes.length) {
      const at = layer * bytes.length + written
      written += writeSync(this.backing.descriptor, bytes, written, bytes.length - written, at)
    }
  }

  /** Forgets all rows from `rank` on. */
  truncate(rank: number): void {
    this.visibleRank = rank
    if (this.backing.kind === 'file') return
    this.backing.layers.forEach((rows, layer, layers) => {
      layers[layer] = rows && rows.subarray(0, rank * this.width)
    })
  }

  /** Multiplies row k of every layer by `scale[k]`, now for rows in memory and on reading for rows in a file. */
  setRowScale(scale: Float32Array): void {
    if (this.backing.kind === 'file') {
      this.rowScale = scale
      return
    }
    for (const rows of this.backing.layers) if (rows) scaleRows(rows, scale, 0, this.width)
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
      const rows = this.backing.layers[layer]
      if (!rows) throw new AppError('bug', `Layer ${layer} has no coordinates yet.`)
      target.set(rows.subarray(first * width, (first + count) * width), offset)
      return
    }
    const part = target.subarray(offset, offset + count * width)
    const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
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

  /** A layer's rows; for a store in memory this is the array itself, not a copy. */
  layer(layer: number): Float32Array {
    const own = this.backing.kind === 'memory' ? this.backing.layers[layer] : null
    if (own) return own
    const rows = new Float32Array(this.rank * this.width)
    this.copyRows(layer, 0, this.rank, rows, 0)
    return rows
  }

  close(): void {
    if (this.backing.kind === 'file') closeSync(this.backing.descriptor)
    else this.backing.layers.fill(null)
  }
}

function scaleRows(rows: Float32Array, scale: Float32Array, first: number, width: number): void {
  for (let row = 0; row * width < rows.length; row += 1) {
    const factor = scale[first + row]!
    const end = (row + 1) * width
    for (let at = row * width; at < end; at += 1) rows[at]! *= factor
  }
}
