import type { Decomposition } from '../decomposition/decompose'
import { Graph } from '../onnx/graph'
import type { Kernel, Runtime } from '../onnx/Runtime'
import { uploadTiles, type Tile } from '../onnx/tiles'

/** Turns coordinates back into weights: `Ŵ = U Σ V̂` (ACL 2025, section 3.3). */
export class Reconstructor {
  private constructor(
    private readonly runtime: Runtime,
    private readonly decomposition: Decomposition,
    private readonly compiled: {
      readonly kernel: Kernel
      /** U. */
      readonly tiles: readonly Tile[]
    } | null,
  ) {}

  static async create(runtime: Runtime, decomposition: Decomposition): Promise<Reconstructor> {
    const { basis, singularValues, rank } = decomposition
    if (!basis || !singularValues) return new Reconstructor(runtime, decomposition, null)
    const g = new Graph()
    g.output('w', g.matmul(g.input('u', ['n', 'r']), g.input('v', ['r', 'width'])))
    const kernel = await runtime.compile(g, { keepsMemory: false })
    const tiles = await uploadTiles(runtime, basis, rank)
    return new Reconstructor(runtime, decomposition, { kernel, tiles })
  }

  /**
   * Weights `[rows, width]` from coordinates `[rank, width]`.
   *
   * @param coordinates Overwritten: their rows are scaled in place. Without a basis they are the weights themselves.
   */
  async weights(coordinates: Float32Array): Promise<Float32Array> {
    const { runtime, compiled } = this
    const { rows, rank, singularValues } = this.decomposition
    if (!compiled || !singularValues) return coordinates
    const width = coordinates.length / rank
    singularValues.forEach((sigma, k) => {
      for (let at = k * width; at < (k + 1) * width; at += 1) coordinates[at]! *= sigma
    })
    const v = await runtime.upload(coordinates, [rank, width])
    const weights = new Float32Array(rows * width)
    for (const { first, count, rows: u } of compiled.tiles) {
      await compiled.kernel.run({ u, v }, { w: runtime.rows(weights, width, first, count) })
    }
    runtime.release(v)
    return weights
  }

  async dispose(): Promise<void> {
    if (!this.compiled) return
    for (const tile of this.compiled.tiles) this.runtime.release(tile.rows)
    await this.compiled.kernel.dispose()
  }
}
