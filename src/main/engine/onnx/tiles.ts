/** @file Matrices in tiles of as many rows as suit the device. */
import { Graph, type Value } from './graph'
import { tileRows } from './placement'
import type { Feeds, Kernel, Results, Runtime, Tensor } from './Runtime'

/** Rows `first … first + count − 1` of a matrix, on the device. */
export interface Tile {
  readonly first: number
  readonly count: number
  readonly rows: Tensor
}

/** Brings a row-major matrix to the device. */
async function uploadTiles(runtime: Runtime, matrix: Float32Array, width: number): Promise<Tile[]> {
  const height = matrix.length / width
  const step = tileRows(runtime.placement, height)
  const tiles: Tile[] = []
  for (let first = 0; first < height; first += step) {
    const count = Math.min(step, height - first)
    const part = matrix.subarray(first * width, (first + count) * width)
    const rows = await runtime.upload(part, [count, width])
    tiles.push({ first, count, rows })
  }
  return tiles
}

/** Multiplies a matrix by others, tile by tile: `tile · by`. */
export class TiledProduct {
  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
    readonly tiles: readonly Tile[],
  ) {}

  /**
   * @param matrix Row-major `[rows, inner]`.
   * @param output Adds the outputs that are computed of each product, itself by default, as `product`.
   */
  static async create(
    runtime: Runtime,
    matrix: Float32Array,
    inner: number,
    output = (g: Graph, product: Value): void => g.output('product', product),
  ): Promise<TiledProduct> {
    const g = new Graph()
    output(g, g.matmul(g.input('tile', ['r', 'n']), g.input('by', ['n', 'width'])))
    const kernel = await runtime.compile(g, { keepsMemory: false })
    return new TiledProduct(runtime, kernel, await uploadTiles(runtime, matrix, inner))
  }

  /** Computes the outputs of one tile, those in `into` in place. */
  outputs(tile: Tile, by: Tensor, into: Feeds): Promise<Results> {
    return this.kernel.run({ tile: tile.rows, by }, into)
  }

  /** Computes `[tile.count, width]` into `into`. */
  async run(tile: Tile, by: Tensor, into: Float32Array): Promise<void> {
    const dims = [tile.count, into.length / tile.count]
    await this.outputs(tile, by, { product: this.runtime.float32(into, dims) })
  }

  async dispose(): Promise<void> {
    for (const { rows } of this.tiles) this.runtime.release(rows)
    await this.kernel.dispose()
  }
}
