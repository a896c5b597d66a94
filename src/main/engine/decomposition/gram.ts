import { Graph } from '../onnx/graph'
import type { Kernel, Runtime, Tensor } from '../onnx/Runtime'

/** Row blocks of the Gram matrix: more of them waste less of its upper triangle, fewer make larger products. */
const MAX_BLOCKS = 8
const MIN_BLOCK_ROWS = 256

/**
 * Accumulates `G = Σ_i W_i W_iᵀ` (float32, `[n, n]`) on the device, one layer's `[n, width]` matrix at a time. Only the
 * block rows of the lower triangle are computed.
 */
export class GramAccumulator {
  private sums: Tensor[] | null = null

  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
    private readonly n: number,
    private readonly bounds: readonly number[],
  ) {}

  static async create(runtime: Runtime, n: number, width: number): Promise<GramAccumulator> {
    const blocks = Math.max(1, Math.min(MAX_BLOCKS, Math.floor(n / MIN_BLOCK_ROWS)))
    const bounds = Array.from({ length: blocks + 1 }, (_, block) =>
      Math.round((block * n) / blocks),
    )
    const g = new Graph()
    const w = g.input('w', [n, width])
    const outputs = pairs(bounds).map(([start, end], block) => {
      const sum = g.input(`in${block}`, [end - start, end])
      const rows = g.slice(w, 0, start, end)
      const columns = g.slice(w, 0, 0, end)
      g.output(`out${block}`, g.gemm(rows, columns, { transB: true, c: sum }))
      return `out${block}`
    })
    const kernel = await runtime.compile(g, { resident: outputs, keepsMemory: false })
    return new GramAccumulator(runtime, kernel, n, bounds)
  }

  /** Adds `W Wᵀ` of a float32 `[n, width]` matrix. */
  async add(w: Tensor): Promise<void> {
    const before = this.sums ?? this.zeros()
    const feeds: Record<string, Tensor> = { w }
    before.forEach((sum, block) => {
      feeds[`in${block}`] = sum
    })
    const results = await this.kernel.run(feeds)
    this.sums = before.map((_, block) => results.one(`out${block}`))
    for (const sum of before) this.runtime.release(sum)
  }

  /** The whole symmetric matrix, row-major. Ends the accumulator. */
  async finish(): Promise<Float32Array> {
    const { n } = this
    const gram = new Float32Array(n * n)
    for (const [block, [start, end]] of pairs(this.bounds).entries()) {
      const sum = this.sums?.[block]
      if (!sum) break
      const rows = await this.runtime.read(sum)
      for (let row = start; row < end; row += 1) {
        const from = (row - start) * end
        gram.set(rows.subarray(from, from + row + 1), row * n)
      }
      this.runtime.release(sum)
    }
    mirrorLower(gram, n)
    await this.kernel.dispose()
    return gram
  }

  private zeros(): Tensor[] {
    return pairs(this.bounds).map(([start, end]) =>
      this.runtime.float32(new Float32Array((end - start) * end), [end - start, end]),
    )
  }
}

/** Copies the lower triangle to the upper one, in tiles that fit the cache. */
function mirrorLower(matrix: Float32Array, n: number): void {
  const tile = 64
  for (let top = 0; top < n; top += tile) {
    for (let left = 0; left <= top; left += tile) {
      const bottom = Math.min(top + tile, n)
      for (let row = top; row < bottom; row += 1) {
        const right = Math.min(left + tile, row)
        for (let column = left; column < right; column += 1) {
          matrix[column * n + row] = matrix[row * n + column]!
        }
      }
    }
  }
}

function pairs(bounds: readonly number[]): [number, number][] {
  return bounds.slice(1).map((end, index) => [bounds[index] ?? 0, end])
}
