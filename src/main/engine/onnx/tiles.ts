/** @file Matrices in tiles of rows, so that on the CPU what a product works on stays in a core's cache. */
import type { Runtime, Tensor } from './Runtime'

/** Rows of a tile on the CPU. */
export const TILE_ROWS = 1024

/** Rows `first … first + count − 1` of a matrix, on the device. */
export interface Tile {
  readonly first: number
  readonly count: number
  readonly rows: Tensor
}

/** Brings a row-major matrix to the device: in tiles on the CPU, whole where tensors have a memory of their own. */
export async function uploadTiles(
  runtime: Runtime,
  matrix: Float32Array,
  width: number,
): Promise<Tile[]> {
  const height = matrix.length / width
  const step = runtime.keepsTensors ? height : TILE_ROWS
  const tiles: Tile[] = []
  for (let first = 0; first < height; first += step) {
    const count = Math.min(step, height - first)
    const part = matrix.subarray(first * width, (first + count) * width)
    const rows = await runtime.upload(part, [count, width])
    tiles.push({ first, count, rows })
  }
  return tiles
}
