import { mirrorLower } from '../../lib/matrix'
import { Graph } from '../../onnx/graph'
import type { Kernel, Runtime, Tensor } from '../../onnx/Runtime'

/**
 * Columns of the Gram matrix computed at once on the host. Fewer waste less of its upper triangle, and keep what the
 * product packs within a core's cache; more make larger products.
 */
const BLOCK_COLUMNS = 256

/** On a device a block is an operator of one graph, and they should be few. */
const MAX_DEVICE_BLOCKS = 8

/**
 * Accumulates `G = Σ_i W_i W_iᵀ` (float32, `[n, n]`), one layer's `[n, width]` matrix at a time. Only the block
 * columns of the lower triangle are computed.
 */
export interface GramAccumulator {
  /** Adds `W Wᵀ` of an `[n, width]` matrix that {@link Runtime.upload} gave. */
  add(w: Tensor): Promise<void>
  /** The whole symmetric matrix, row-major. Ends the accumulator. */
  finish(): Promise<Float32Array>
}

export function createGramAccumulator(
  runtime: Runtime,
  n: number,
  width: number,
): Promise<GramAccumulator> {
  return runtime.placement.isHost
    ? HostGram.create(runtime, n, width)
    : DeviceGram.create(runtime, n, width)
}

/** Columns `start … end − 1` of the Gram matrix, from the diagonal block down: `[n − start, end − start]`. */
interface Block {
  readonly start: number
  readonly end: number
}

function blocksOf(n: number, count: number): Block[] {
  const bound = (index: number): number => Math.round((index * n) / count)
  return Array.from({ length: count }, (_, index) => ({
    start: bound(index),
    end: bound(index + 1),
  }))
}

/** Sums in host memory: rows of W are used where they lie, and every product is added in place. */
class HostGram implements GramAccumulator {
  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
    private readonly n: number,
    private readonly width: number,
    private readonly sums: (Block & { readonly values: Float32Array })[],
  ) {}

  static async create(runtime: Runtime, n: number, width: number): Promise<HostGram> {
    const g = new Graph()
    const rows = g.input('rows', ['r', width])
    const columns = g.input('columns', ['c', width])
    const sum = g.input('sum', ['r', 'c'])
    g.output('out', g.gemm(rows, columns, { transB: true, c: sum }))
    const kernel = await runtime.compile(g, { keepsMemory: false })
    const sums = blocksOf(n, Math.ceil(n / BLOCK_COLUMNS)).map(({ start, end }) => ({
      start,
      end,
      values: new Float32Array((n - start) * (end - start)),
    }))
    return new HostGram(runtime, kernel, n, width, sums)
  }

  async add(w: Tensor): Promise<void> {
    const { width, n } = this
    const values = await this.runtime.read(w)
    for (const { start, end, values: sums } of this.sums) {
      const rows = this.runtime.rows(values, width, start, n - start)
      const columns = this.runtime.rows(values, width, start, end - start)
      const sum = this.runtime.float32(sums, [n - start, end - start])
      await this.kernel.run({ rows, columns, sum }, { out: sum })
    }
  }

  async finish(): Promise<Float32Array> {
    const gram = new Float32Array(this.n ** 2)
    for (const { start, end, values } of this.sums) putColumns(gram, this.n, { start, end }, values)
    this.sums.length = 0
    mirrorLower(gram, this.n)
    await this.kernel.dispose()
    return gram
  }
}

/** Sums in a device's memory where that keeps them, all blocks in one run, to which a layer travels once. */
class DeviceGram implements GramAccumulator {
  private sums: Tensor[] | null = null

  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
    private readonly n: number,
    private readonly blocks: readonly Block[],
  ) {}

  static async create(runtime: Runtime, n: number, width: number): Promise<DeviceGram> {
    const blocks = blocksOf(n, Math.min(MAX_DEVICE_BLOCKS, Math.ceil(n / BLOCK_COLUMNS)))
    const g = new Graph()
    const w = g.input('w', [n, width])
    const names = blocks.map(({ start, end }, index) => {
      const sum = g.input(`in${index}`, [n - start, end - start])
      const rows = g.slice(w, 0, start, n)
      const columns = g.slice(w, 0, start, end)
      g.output(`out${index}`, g.gemm(rows, columns, { transB: true, c: sum }))
      return `out${index}`
    })
    const kernel = await runtime.compile(g, { resident: names })
    return new DeviceGram(runtime, kernel, n, blocks)
  }

  async add(w: Tensor): Promise<void> {
    const { runtime, blocks, n } = this
    const before =
      this.sums ??
      blocks.map(({ start, end }) =>
        runtime.float32(new Float32Array((n - start) * (end - start)), [n - start, end - start]),
      )
    const sums = before.map((sum, index) => [`in${index}`, sum] as const)
    const results = await this.kernel.run({ w, ...Object.fromEntries(sums) })
    this.sums = blocks.map((_, index) => results.one(`out${index}`))
    for (const sum of before) runtime.release(sum)
  }

  async finish(): Promise<Float32Array> {
    const gram = new Float32Array(this.n ** 2)
    for (const [index, sum] of (this.sums ?? []).entries()) {
      putColumns(gram, this.n, this.blocks[index]!, await this.runtime.read(sum))
      this.runtime.release(sum)
    }
    mirrorLower(gram, this.n)
    await this.kernel.dispose()
    return gram
  }
}

/** Copies a block to its place, up to the diagonal. */
function putColumns(
  gram: Float32Array,
  n: number,
  { start, end }: Block,
  block: Float32Array,
): void {
  const width = end - start
  for (let row = start; row < n; row += 1) {
    const from = (row - start) * width
    gram.set(block.subarray(from, from + Math.min(width, row + 1 - start)), row * n + start)
  }
}
