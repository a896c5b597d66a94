/**
 * @file Eigen-decomposition of a symmetric matrix in float32 through ONNX sessions, LAPACK's way: blocked Householder
 * reduction to tridiagonal form (Dongarra, Sorensen & Hammarling 1989), the tridiagonal problem on the host in float64,
 * and the compact-WY back-transformation (Schreiber & Van Loan 1989).
 *
 * Reflectors are H = I − u uᵀ with u scaled so that no separate factor is needed.
 */
import { Graph } from '../onnx/graph'
import type { Kernel, Runtime, Tensor } from '../onnx/Runtime'
import { tridiagonalEigenvalues, tridiagonalEigenvectors } from './tridiagonalEigen'

/** Columns reduced between two updates of the trailing matrix. */
const PANEL = 32

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
 * @param matrix Row-major `[n, n]`, both triangles filled. It is scaled in place.
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
  const whole = runtime.float32(matrix, [n, n])
  const reduction = await reduce(runtime, whole, n, (done) => report(done * 0.6))
  const scaled = tridiagonalEigenvalues(reduction.diagonal, reduction.offDiagonal)
  const values = scaled.map((value) => value * scale)
  const rank = Math.max(1, Math.min(n, options.chooseRank?.(values) ?? n))
  const vectors = tridiagonalEigenvectors(reduction.diagonal, reduction.offDiagonal, scaled, rank)
  await report(0.7)
  await transformBack(runtime, reduction, vectors, n, rank, (done) => report(0.7 + done * 0.3))
  fixSigns(vectors, n, rank)
  return { values, vectors, rank }
}

/** Householder reduction: a panel of columns is one `Loop` on the device, then one rank-2b product updates the rest. */
async function reduce(
  runtime: Runtime,
  a: Tensor,
  n: number,
  report: (done: number) => void | Promise<void>,
): Promise<Reduction> {
  const diagonal = new Float64Array(n)
  const offDiagonal = new Float64Array(Math.max(0, n - 1))
  const panels: { offset: number; columns: number; y: Float32Array }[] = []
  let offset = 0
  // What a kernel leaves on the device dies with it, so they are all kept until the end.
  const kernels = new Map<number, Kernel>()
  while (n - offset > 1) {
    const m = n - offset
    // The last panel reduces what is left, down to one diagonal entry.
    const columns = m > PANEL + 2 ? PANEL : m - 1
    let kernel = kernels.get(columns)
    if (!kernel) {
      kernel = await runtime.compile(panelGraph(columns), {
        resident: ['trailing'],
        keepsMemory: false,
      })
      kernels.set(columns, kernel)
    }
    const results = await kernel.run({
      a,
      index: runtime.float32(
        Float32Array.from({ length: m }, (_, i) => i),
        [m],
      ),
      zeros: runtime.float32(new Float32Array(m * 2 * columns), [m, 2 * columns]),
    })
    runtime.release(a)
    a = results.one('trailing')
    diagonal.set(results.floats('diagonal'), offset)
    offDiagonal.set(results.floats('offDiagonal'), offset)
    panels.push({ offset, columns, y: results.floats('reflectors') })
    offset += columns
    await report(1 - ((n - offset) / n) ** 3)
  }
  diagonal[n - 1] = (await runtime.read(a))[0] ?? 0
  runtime.release(a)
  for (const kernel of kernels.values()) await kernel.dispose()
  return { diagonal, offDiagonal, panels }
}

/**
 * Reduces the first `columns` columns of a symmetric `[m, m]` matrix and updates the rest.
 *
 * The panel's reflectors V and their companions W are the two halves of P = [V W], so that the matrix as it would be
 * after the columns done so far is A − P Sᵀ with S = [W V]; A itself is read once a column and stays as it is until the
 * panel is complete.
 */
function panelGraph(columns: number): Graph {
  const g = new Graph()
  const a = g.input('a', ['m', 'm'])
  const index = g.input('index', ['m'])
  const zeros = g.input('zeros', ['m', 2 * columns])
  const width = 2 * columns
  // Right-multiplication by `swap` exchanges the halves of a row: [v w] → [w v].
  const swap = new Float32Array(width * width)
  for (let k = 0; k < width; k += 1) swap[k * width + ((k + columns) % width)] = 1
  const swapMatrix = g.constant(swap, [width, width])
  const lanes = g.constant(
    Float32Array.from({ length: width }, (_, k) => k),
    [width],
  )

  const loop = g.loop({
    tripCount: g.integers(columns),
    scanDim: columns,
    state: [zeros],
    body: (b, i, state) => {
      const p = state[0]!
      const step = b.cast(i, 'float32')
      const next = b.add(i, 1)
      // The current column: row i of A − P Sᵀ.
      const own = b.unsqueeze(b.gather(p, i), [0])
      const correction = b.matmul(p, b.transpose(b.matmul(own, swapMatrix)))
      const column = b.sub(b.gather(a, i), b.squeeze(correction, [1]))
      const below = b.mul(column, b.cast(b.greater(index, step), 'float32'))
      const alpha = b.gather(below, next)
      const squares = b.sum(b.square(below))
      const length = b.sqrt(squares)
      // β = −sign(α)‖x‖ avoids cancellation; ‖x − βe‖² = 2(‖x‖² + |α|‖x‖).
      const beta = b.where(b.greaterOrEqual(alpha, 0), b.neg(length), length)
      const unit = b.cast(b.equal(index, b.add(step, 1)), 'float32')
      const v = b.sub(below, b.mul(unit, beta))
      const half = b.max(b.sub(squares, b.mul(alpha, beta)), TINY)
      const u = b.div(v, b.sqrt(half))
      // w = p − ½(pᵀu)u with p = (A − P Sᵀ)u.
      const row = b.unsqueeze(u, [0])
      const inner = b.matmul(b.matmul(row, p), swapMatrix)
      const product = b.sub(
        b.squeeze(b.matmul(row, a), [0]),
        b.squeeze(b.matmul(p, b.transpose(inner)), [1]),
      )
      const w = b.sub(product, b.mul(u, b.mul(b.sum(b.mul(product, u)), 0.5)))
      // Put u into column i and w into column `columns + i` of P.
      const slots = b.concat(
        [
          b.unsqueeze(b.cast(b.equal(lanes, step), 'float32'), [0]),
          b.unsqueeze(b.cast(b.equal(lanes, b.add(step, columns)), 'float32'), [0]),
        ],
        0,
      )
      const both = b.concat([row, b.unsqueeze(w, [0])], 0)
      return {
        state: [b.gemm(both, slots, { transA: true, c: p })],
        scans: [b.gather(column, i), beta],
      }
    },
  })
  const p = loop.state[0]!
  const rest = g.sliceFrom(p, [0], columns, 'rest')
  const v = g.slice(rest, 1, 0, columns)
  const w = g.slice(rest, 1, columns, width)
  const trailing = g.sliceFrom(a, [0, 1], columns, 'rest')
  const swapped = g.concat([w, v], 1)
  g.output('trailing', g.gemm(rest, swapped, { transB: true, alpha: -1, c: trailing }))
  g.output('reflectors', g.slice(p, 1, 0, columns))
  g.output('diagonal', loop.scans[0]!)
  g.output('offDiagonal', loop.scans[1]!)
  return g
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
  const applyKernel = await runtime.compile(applyReflectorsGraph(), {
    resident: ['out'],
    keepsMemory: false,
  })
  const blocks = groupPanels(reduction.panels)
  // Where tensors can stay on the device, Z does, and the reflectors are padded to its full height.
  let resident: Tensor | null = runtime.keepsTensors ? runtime.float32(z, [n, rank]) : null
  for (const [done, block] of blocks.entries()) {
    const top = resident ? 0 : block.offset
    const height = n - top
    const y = runtime.float32(joinPanels(block.panels, top, n, block.columns), [
      height,
      block.columns,
    ])
    const gram = (await gramKernel.run({ y })).floats('gram')
    const t = runtime.float32(triangularFactor(gram, block.columns), [block.columns, block.columns])
    const part = z.subarray(top * rank)
    const input: Tensor = resident ?? runtime.float32(part, [height, rank])
    const out = (await applyKernel.run({ y, t, z: input })).one('out')
    if (resident) {
      runtime.release(input)
      resident = out
    } else {
      part.set(await runtime.read(out))
      runtime.release(out)
    }
    await report((done + 1) / blocks.length)
  }
  if (resident) {
    z.set(await runtime.read(resident))
    runtime.release(resident)
  }
  await gramKernel.dispose()
  await applyKernel.dispose()
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

function applyReflectorsGraph(): Graph {
  const g = new Graph()
  const y = g.input('y', ['m', 'b'])
  const t = g.input('t', ['b', 'b'])
  const z = g.input('z', ['m', 'k'])
  const inner = g.matmul(t, g.gemm(y, z, { transA: true }))
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
