import type { Decomposition } from '../decomposition/decompose'
import { Graph } from '../onnx/graph'
import type { Kernel, Runtime, Tensor } from '../onnx/Runtime'

/** Rows of weights computed at once on the CPU: what a product works on then stays in a core's cache. */
const TILE_ROWS = 1024

/** Turns coordinates back into weights: `Ŵ = U Σ V̂` (ACL 2025, section 3.3). */
export class Reconstructor {
  private constructor(
    private readonly runtime: Runtime,
    private readonly decomposition: Decomposition,
    private readonly compiled: {
      readonly kernel: Kernel
      /** U, some rows at a time. */
      readonly tiles: readonly { readonly first: number; readonly u: Tensor }[]
    } | null,
  ) {}

  static async create(runtime: Runtime, decomposition: Decomposition): Promise<Reconstructor> {
    const { basis, singularValues, rows, rank } = decomposition
    if (!basis || !singularValues) return new Reconstructor(runtime, decomposition, null)
    const g = new Graph()
    g.output('w', g.matmul(g.input('u', ['n', 'r']), g.input('v', ['r', 'width'])))
    const kernel = await runtime.compile(g, { keepsMemory: false })
    const step = runtime.keepsTensors ? rows : TILE_ROWS
    const tiles: { first: number; u: Tensor }[] = []
    for (let first = 0; first < rows; first += step) {
      const last = Math.min(rows, first + step)
      const part = basis.subarray(first * rank, last * rank)
      tiles.push({ first, u: await runtime.upload(part, [last - first, rank]) })
    }
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
    for (const { first, u } of compiled.tiles) {
      const count = u.dims[0] ?? 0
      const part = weights.subarray(first * width, (first + count) * width)
      await compiled.kernel.run({ u, v }, { w: runtime.float32(part, [count, width]) })
    }
    runtime.release(v)
    return weights
  }

  async dispose(): Promise<void> {
    if (!this.compiled) return
    for (const { u } of this.compiled.tiles) this.runtime.release(u)
    await this.compiled.kernel.dispose()
  }
}
