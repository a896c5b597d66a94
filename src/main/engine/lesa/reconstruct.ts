import type { Decomposition } from './decomposition/decompose'
import { floats } from '../onnx/hostMemory'
import type { Runtime } from '../onnx/Runtime'
import { TiledProduct } from '../onnx/tiles'

/** Turns coordinates back into weights: `Ŵ = U Σ V̂` (ACL 2025, section 3.3). */
export class Reconstructor {
  private constructor(
    private readonly runtime: Runtime,
    private readonly decomposition: Decomposition,
    /** By U; `null` without a basis. */
    private readonly product: TiledProduct | null,
  ) {}

  static async create(runtime: Runtime, decomposition: Decomposition): Promise<Reconstructor> {
    const { basis, rank } = decomposition
    const product = basis && (await TiledProduct.create(runtime, basis, rank))
    return new Reconstructor(runtime, decomposition, product)
  }

  /**
   * Weights `[rows, width]` from coordinates `[rank, width]`.
   *
   * @param coordinates Overwritten: their rows are scaled in place. Without a basis they are the weights themselves.
   */
  async weights(coordinates: Float32Array): Promise<Float32Array> {
    const { runtime, product } = this
    const { rows, rank, singularValues } = this.decomposition
    if (!product || !singularValues) return coordinates
    const width = coordinates.length / rank
    singularValues.forEach((sigma, k) => {
      for (let at = k * width; at < (k + 1) * width; at += 1) coordinates[at]! *= sigma
    })
    const v = await runtime.upload(coordinates, [rank, width])
    const weights = floats(rows * width)
    for (const tile of product.tiles) {
      const start = tile.first * width
      await product.run(tile, v, weights.subarray(start, start + tile.count * width))
    }
    runtime.release(v)
    return weights
  }

  async dispose(): Promise<void> {
    await this.product?.dispose()
  }
}
