/**
 * @file Eigen-decomposition of a symmetric matrix in float32 through ONNX sessions, LAPACK's way: blocked Householder
 * reduction to tridiagonal form (Dongarra, Sorensen & Hammarling 1989), the tridiagonal problem on the host in float64,
 * and the compact-WY back-transformation (Schreiber & Van Loan 1989).
 *
 * Reflectors are H = I − u uᵀ with u scaled so that no separate factor is needed.
 */
import { Graph, type Value } from '../../onnx/graph'
import type { Kernel, Runtime } from '../../onnx/Runtime'
import { WorkMatrix } from '../../onnx/WorkMatrix'
import { tridiagonalEigenvalues, tridiagonalEigenvectors } from './tridiagonalEigen'

/** Columns reduced between two updates of the trailing matrix. */
const PANEL = 32

/** Panels in one run, after which what is done is cut off: a run copies its results, which costs as much as a panel. */
const PANELS_A_RUN = 8

/** Reflectors applied at once on the way back; wider than a panel, because there only matrix products are left. */
const BACK_BLOCK = 256

/** Stops a division by zero where a column is already reduced; far below anything that float32 scaled to 1 holds. */
const TINY = 1e-30

export interface EigenResult {
  /** Eigenvalues, descending, n of them. */
  readonly values: Float64Array
  /** Orthonormal eigenvectors of the first `rank`, as columns of a row-major `[n, rank]` matrix. */
  readonly vectors: Float32Array
  readonly rank: number
}

export interface EigenOptions {
  /** How many of the leading eigenvectors are wanted, given all eigenvalues; all of them by default. */
  readonly chooseRank?: (values: Float64Array) => number
  /** Called between panels and blocks with the done share, 0 … 1; may throw to stop. */
  readonly onProgress?: (done: number) => void | Promise<void>
}

interface Reduction {
  readonly diagonal: Float64Array
  readonly offDiagonal: Float64Array
  /** Reflectors of each panel `[n − offset, columns]`, acting on the last n − offset coordinates. */
  readonly panels: readonly {
    readonly offset: number
    readonly columns: number
    readonly y: Float32Array
  }[]
}

/**
 * Eigenvalues and leading eigenvectors of a symmetric positive semi-definite matrix.
 *
 * @param matrix Row-major `[n, n]`, both triangles filled. It is overwritten.
 * @throws AppError `numeric_failure` when an entry is not finite.
 */
export async function symmetricEigen(
  runtime: Runtime,
  matrix: Float32Array,
  n: number,
  options: EigenOptions = {},
): Promise<EigenResult> {
  const report = options.onProgress ?? (() => undefined)
  // Reduced at scale 1, so that squares neither overflow nor vanish in float32.
  const scale = largestDiagonal(matrix, n)
  if (scale > 0) for (let i = 0; i < matrix.length; i += 1) matrix[i]! /= scale
  const reduction = await reduce(runtime, matrix, n, (done) => report(done * 0.6))
  const scaled = tridiagonalEigenvalues(reduction.diagonal, reduction.offDiagonal)
  const values = scaled.map((value) => value * scale)
  const rank = Math.max(1, Math.min(n, options.chooseRank?.(values) ?? n))
  const { diagonal, offDiagonal } = reduction
  const projector = new HostProjector(runtime)
  const vectors = await tridiagonalEigenvectors(
    diagonal,
    offDiagonal,
    scaled,
    (block, basis) => projector.project(block, basis, n),
    rank,
  )
  await projector.dispose()
  await report(0.7)
  await transformBack(runtime, reduction, vectors, n, rank, (done) => report(0.7 + done * 0.3))
  fixSigns(vectors, n, rank)
  return { values, vectors, rank }
}

/** Takes from vectors their parts along others, always on the host: those of a cluster would go to a device each time. */
export class HostProjector {
  private kernel: Kernel | null = null

  constructor(private readonly runtime: Runtime) {}

  /** X ← X − (X Qᵀ) Q in place; rows of X `[b, n]` and Q `[m, n]`, those of Q orthonormal. */
  async project(x: Float32Array, q: Float32Array, n: number): Promise<void> {
    if (q.length === 0) return
    const host = await this.runtime.onHost()
    const kernel = (this.kernel ??= await host.compile(projectionGraph(), { keepsMemory: false }))
    const rows = host.float32(x, [x.length / n, n])
    await kernel.run({ x: rows, q: host.float32(q, [q.length / n, n]) }, { out: rows })
  }

  async dispose(): Promise<void> {
    await this.kernel?.dispose()
  }
}

/** X − (X Qᵀ) Q. */
function projectionGraph(): Graph {
  const g = new Graph()
  const x = g.input('x', ['b', 'n'])
  const q = g.input('q', ['m', 'n'])
  g.output('out', g.gemm(g.gemm(x, q, { transB: true }), q, { alpha: -1, c: x }))
  return g
}

/** Householder reduction, some panels in each run. */
async function reduce(
  runtime: Runtime,
  matrix: Float32Array,
  n: number,
  report: (done: number) => void | Promise<void>,
): Promise<Reduction> {
  const diagonal = new Float64Array(n)
  const offDiagonal = new Float64Array(Math.max(0, n - 1))
  const panels: Reduction['panels'][number][] = []
  let a = runtime.float32(matrix, [n, n])
  // What a kernel leaves on the device dies with it, so they are all kept until the end.
  const kernels = new Map<number, Kernel>()
  let offset = 0
  while (n - offset > 1) {
    const size = n - offset
    // The last panel reduces what is left, down to one diagonal entry.
    const columns = size > PANEL + 2 ? PANEL : size - 1
    const count = size > PANEL + 2 ? Math.min(PANELS_A_RUN, Math.floor((size - 2) / PANEL)) : 1
    const done = count * columns
    const kernel =
      kernels.get(columns) ?? (await runtime.compile(panelsGraph(columns), { resident: ['next'] }))
    kernels.set(columns, kernel)
    const results = await kernel.run({
      a,
      count: runtime.int64(BigInt64Array.of(BigInt(count)), []),
      index: runtime.float32(
        Float32Array.from({ length: size }, (_, row) => row),
        [size],
      ),
      zeros: runtime.float32(new Float32Array(2 * columns * size), [2 * columns, size]),
    })
    diagonal.set(results.floats('diagonal'), offset)
    offDiagonal.set(results.floats('offDiagonal'), offset)
    const reflectors = results.floats('reflectors')
    for (let panel = 0; panel < count; panel += 1) {
      // What lies above the panel's first row is zero.
      const start = (panel * size + panel * columns) * columns
      const y = reflectors.slice(start, (panel + 1) * size * columns)
      panels.push({ offset: offset + panel * columns, columns, y })
    }
    offset += done
    runtime.release(a)
    a = await runtime.trailing(results.one('next'), done)
    await report(1 - ((n - offset) / n) ** 3)
  }
  diagonal[n - 1] = (await runtime.read(a))[0] ?? 0
  runtime.release(a)
  for (const kernel of kernels.values()) await kernel.dispose()
  return { diagonal, offDiagonal, panels }
}

/**
 * Reduces `count` panels of `columns` columns each of a symmetric `[m, m]` matrix. What is done stays in the matrix, and
 * is not read again.
 *
 * A panel's reflectors V and their companions W are the two halves of the rows of P = [V W]ᵀ, so that the matrix as it
 * would be after the columns done so far is A − Pᵀ S with S = [W V]ᵀ; A itself is read once a column and stays as it is
 * until the panel is complete.
 *
 * Inputs: `a`; `count` (int64); `index` `[m]`, the row numbers; `zeros` `[2·columns, m]`. Outputs: `next`, the matrix;
 * and for each panel its `reflectors` `[m, columns]` and its part of the tridiagonal matrix, `[columns]` each.
 */
function panelsGraph(columns: number): Graph {
  const g = new Graph()
  const a = g.input('a', ['m', 'm'])
  const count = g.input('count', [], 'int64')
  const index = g.input('index', ['m'])
  const zeros = g.input('zeros', [2 * columns, 'm'])
  const width = 2 * columns
  // Right-multiplication by `swap` exchanges the halves of a row: [v w] → [w v].
  const swap = new Float32Array(width * width)
  for (let k = 0; k < width; k += 1) swap[k * width + ((k + columns) % width)] = 1
  const tables = {
    index,
    zeros,
    swap: g.constant(swap, [width, width]),
    lanes: g.constant(
      Float32Array.from({ length: width }, (_, k) => k),
      [width, 1],
    ),
  }
  const loop = g.loop({
    tripCount: count,
    scanDim: 'panels',
    state: [a],
    body: (b, panel, state) => {
      const matrix = state[0]!
      const first = b.mul(panel, b.integers(columns))
      const { p, diagonal, offDiagonal } = reducePanel(b, matrix, first, columns, tables)
      const v = b.slice(p, 0, 0, columns)
      const s = b.concat([b.slice(p, 0, columns, width), v], 0)
      const next = b.gemm(p, s, { transA: true, alpha: -1, c: matrix })
      return { state: [next], scans: [b.transpose(v), diagonal, offDiagonal] }
    },
  })
  g.output('next', loop.state[0]!)
  g.output('reflectors', loop.scans[0]!)
  g.output('diagonal', loop.scans[1]!)
  g.output('offDiagonal', loop.scans[2]!)
  return g
}

interface PanelTables {
  readonly index: Value
  readonly zeros: Value
  readonly swap: Value
  /** The row numbers of P, `[2·columns, 1]`. */
  readonly lanes: Value
}

/** P of the panel that begins with column `first` (int64) of `a`, and the panel's part of the tridiagonal matrix. */
function reducePanel(
  g: Graph,
  a: Value,
  first: Value,
  columns: number,
  { index, zeros, swap, lanes }: PanelTables,
): { p: Value; diagonal: Value; offDiagonal: Value } {
  // Row numbers counted from the panel's first one.
  const place = g.sub(index, g.cast(first, 'float32'))
  const loop = g.loop({
    tripCount: g.integers(columns),
    scanDim: columns,
    state: [zeros],
    body: (b, i, state) => {
      const p = state[0]!
      const step = b.cast(i, 'float32')
      const own = b.add(i, first)
      /** xᵀ Pᵀ S of a row x, as a vector. */
      const corrected = (row: Value): Value =>
        b.squeeze(b.matmul(b.matmul(b.gemm(row, p, { transB: true }), swap), p), [0])
      const unit = (at: Value): Value => b.cast(b.equal(place, at), 'float32')
      // The current column: row i of A − Pᵀ S.
      const column = b.sub(b.gather(a, own), corrected(b.unsqueeze(unit(step), [0])))
      const below = b.mul(column, b.cast(b.greater(place, step), 'float32'))
      const alpha = b.gather(below, b.add(own, 1))
      const squares = b.sum(b.square(below))
      const length = b.sqrt(squares)
      // β = −sign(α)‖x‖ avoids cancellation; ‖x − βe‖² = 2(‖x‖² + |α|‖x‖).
      const beta = b.where(b.greaterOrEqual(alpha, 0), b.neg(length), length)
      const v = b.sub(below, b.mul(unit(b.add(step, 1)), beta))
      const half = b.max(b.sub(squares, b.mul(alpha, beta)), TINY)
      const u = b.div(v, b.sqrt(half))
      // w = q − ½(qᵀu)u with q = (A − Pᵀ S)u; A is read along its rows, which is faster.
      const row = b.unsqueeze(u, [0])
      const product = b.sub(b.squeeze(b.gemm(row, a, { transB: true }), [0]), corrected(row))
      const w = b.sub(product, b.mul(u, b.mul(b.sum(b.mul(product, u)), 0.5)))
      // Row i of P becomes u, row `columns + i` becomes w.
      const withU = b.where(b.equal(lanes, step), row, p)
      const withBoth = b.where(b.equal(lanes, b.add(step, columns)), b.unsqueeze(w, [0]), withU)
      return { state: [withBoth], scans: [b.gather(column, own), beta] }
    },
  })
  return { p: loop.state[0]!, diagonal: loop.scans[0]!, offDiagonal: loop.scans[1]! }
}

/** Z ← H_1 H_2 … Z in place, several panels at a time as I − Y T Yᵀ, the last panels first. */
async function transformBack(
  runtime: Runtime,
  reduction: Reduction,
  z: Float32Array,
  n: number,
  rank: number,
  report: (done: number) => void | Promise<void>,
): Promise<void> {
  const gramKernel = await runtime.compile(reflectorGramGraph())
  const innerKernel = await runtime.compile(innerGraph(), {
    resident: ['inner'],
    keepsMemory: false,
  })
  const applyKernel = await runtime.compile(applyGraph(), { resident: ['out'], keepsMemory: false })
  const blocks = groupPanels(reduction.panels)
  const work = new WorkMatrix(runtime, z, rank)
  const inner = new Float32Array(BACK_BLOCK * rank)
  for (const [done, { offset, columns, panels }] of blocks.entries()) {
    const top = work.firstRow(offset)
    const reflectors = joinPanels(panels, top, n, columns)
    const y = runtime.float32(reflectors, [n - top, columns])
    const gram = (await gramKernel.run({ y })).floats('gram')
    const t = runtime.float32(triangularFactor(gram, columns), [columns, columns])
    const results = await innerKernel.run(
      { y, t, z: work.from(top) },
      { inner: runtime.rows(inner, rank, 0, columns) },
    )
    const product = results.one('inner')
    await work.update(top, 'out', ({ first, count, rows }, into) => {
      const own = runtime.rows(reflectors, columns, first - top, count)
      return applyKernel.run({ y: own, inner: product, z: rows }, into)
    })
    runtime.release(product)
    await report((done + 1) / blocks.length)
  }
  await work.finish()
  for (const kernel of [gramKernel, innerKernel, applyKernel]) await kernel.dispose()
}

type Panels = Reduction['panels']

/** Neighbouring panels in blocks of up to BACK_BLOCK reflectors, in the order in which they are applied. */
function groupPanels(panels: Panels): { offset: number; columns: number; panels: Panels }[] {
  const blocks: { offset: number; columns: number; panels: Panels[number][] }[] = []
  for (const panel of panels) {
    const last = blocks.at(-1)
    if (last && last.columns + panel.columns <= BACK_BLOCK) {
      last.panels.push(panel)
      last.columns += panel.columns
    } else {
      blocks.push({ offset: panel.offset, columns: panel.columns, panels: [panel] })
    }
  }
  return blocks.reverse()
}

/** Reflectors side by side as `[n − top, columns]`, zero where a panel does not reach up. */
function joinPanels(panels: Panels, top: number, n: number, columns: number): Float32Array {
  const joined = new Float32Array((n - top) * columns)
  let left = 0
  for (const panel of panels) {
    const rows = n - panel.offset
    for (let row = 0; row < rows; row += 1) {
      const from = row * panel.columns
      const to = (row + panel.offset - top) * columns + left
      joined.set(panel.y.subarray(from, from + panel.columns), to)
    }
    left += panel.columns
  }
  return joined
}

/** T of H_1 … H_b = I − Y T Yᵀ: upper triangular, T_jj = 1, T[:j, j] = −T[:j, :j] (YᵀY)[:j, j]. */
function triangularFactor(gram: Float32Array, size: number): Float32Array {
  const t = new Float32Array(size * size)
  for (let j = 0; j < size; j += 1) {
    t[j * size + j] = 1
    for (let i = 0; i < j; i += 1) {
      let sum = 0
      for (let k = i; k < j; k += 1) sum += t[i * size + k]! * gram[k * size + j]!
      t[i * size + j] = -sum
    }
  }
  return t
}

function reflectorGramGraph(): Graph {
  const g = new Graph()
  const y = g.input('y', ['m', 'b'])
  g.output('gram', g.gemm(y, y, { transA: true }))
  return g
}

/** T Yᵀ Z. */
function innerGraph(): Graph {
  const g = new Graph()
  const y = g.input('y', ['m', 'b'])
  const t = g.input('t', ['b', 'b'])
  const z = g.input('z', ['m', 'k'])
  g.output('inner', g.matmul(t, g.gemm(y, z, { transA: true })))
  return g
}

/** Z − Y (T Yᵀ Z). */
function applyGraph(): Graph {
  const g = new Graph()
  const y = g.input('y', ['m', 'b'])
  const inner = g.input('inner', ['b', 'k'])
  const z = g.input('z', ['m', 'k'])
  g.output('out', g.gemm(y, inner, { alpha: -1, c: z }))
  return g
}

/** Makes each column's entry of largest magnitude positive, so that runs can be compared. */
function fixSigns(vectors: Float32Array, n: number, rank: number): void {
  const largest = new Float32Array(rank)
  for (let row = 0; row < n; row += 1) {
    for (let k = 0; k < rank; k += 1) {
      const value = vectors[row * rank + k]!
      if (Math.abs(value) > Math.abs(largest[k]!)) largest[k] = value
    }
  }
  for (let row = 0; row < n; row += 1) {
    for (let k = 0; k < rank; k += 1) {
      if (largest[k]! < 0) vectors[row * rank + k] = -vectors[row * rank + k]!
    }
  }
}

function largestDiagonal(matrix: Float32Array, n: number): number {
  let most = 0
  for (let i = 0; i < n; i += 1) most = Math.max(most, matrix[i * n + i]!)
  return most
}
