import type { Decomposition } from '../decomposition/decompose'
import { Graph } from '../onnx/graph'
import type { Kernel, Runtime, Tensor } from '../onnx/Runtime'

/** Turns coordinates back into weights: `Ŵ = U Σ V̂` (ACL 2025, section 3.3). */
export class Reconstructor {
  private constructor(
    private readonly runtime: Runtime,
    private readonly decomposition: Decomposition,
    private readonly compiled: {
      readonly kernel: Kernel
      readonly u: Tensor
      readonly sigma: Tensor
    } | null,
  ) {}

  static async create(runtime: Runtime, decomposition: Decomposition): Promise<Reconstructor> {
    const { basis, singularValues, rows, rank } = decomposition
    if (!basis || !singularValues) return new Reconstructor(runtime, decomposition, null)
    const g = new Graph()
    const u = g.input('u', ['n', 'r'])
    const sigma = g.input('sigma', ['r', 1])
    const v = g.input('v', ['r', 'width'])
    g.output('w', g.gemm(u, g.mul(v, sigma)))
    return new Reconstructor(runtime, decomposition, {
      kernel: await runtime.compile(g, { keepsMemory: false }),
      u: await runtime.upload(basis, [rows, rank]),
      sigma: await runtime.upload(singularValues, [rank, 1]),
    })
  }

  /** Weights `[rows, width]` from coordinates `[rank, width]`. */
  async weights(coordinates: Float32Array): Promise<Float32Array> {
    if (!this.compiled) return coordinates
    const { kernel, u, sigma } = this.compiled
    const { rank } = this.decomposition
    const v = this.runtime.float32(coordinates, [rank, coordinates.length / rank])
    return (await kernel.run({ u, sigma, v })).floats('w')
  }

  async dispose(): Promise<void> {
    if (!this.compiled) return
    this.runtime.release(this.compiled.u)
    this.runtime.release(this.compiled.sigma)
    await this.compiled.kernel.dispose()
  }
}
