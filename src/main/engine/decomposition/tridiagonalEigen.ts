/**
 * @file The symmetric tridiagonal eigenproblem in float64 on the host, O(n²): eigenvalues by the implicit QL iteration
 * (Golub & Van Loan, Matrix Computations, section 8.3), eigenvectors by inverse iteration with partial pivoting
 * (Parlett, The Symmetric Eigenvalue Problem, section 4.9), re-orthogonalised only among eigenvalues so close that
 * float64 inverse iteration would not separate their vectors to float32 precision.
 */
import { AppError } from '@shared/errors'

/** float64 inverse iteration leaves an overlap of about 2e-16·‖T‖/gap: 1e-8 relative gap keeps it below 1e-7. */
const CLUSTER_GAP = 1e-8

/** Eigenvalues closer than this, relative to ‖T‖, are moved apart so that their iterations start differently. */
const MIN_GAP = 1e-14

const MAX_QL_ITERATIONS = 60

/**
 * Eigenvalues of the tridiagonal matrix, largest first.
 *
 * @param diagonal n entries.
 * @param offDiagonal n − 1 entries.
 * @throws AppError `numeric_failure` when an entry is not finite or the iteration does not settle.
 */
export function tridiagonalEigenvalues(
  diagonal: Float64Array,
  offDiagonal: Float64Array,
): Float64Array {
  const n = diagonal.length
  const d = Float64Array.from(diagonal)
  const e = new Float64Array(n)
  e.set(offDiagonal.subarray(0, Math.max(0, n - 1)))
  if (!d.every(Number.isFinite) || !e.every(Number.isFinite)) throw notFinite()
  for (let l = 0; l < n; l += 1) {
    for (let iteration = 0; ; iteration += 1) {
      let m = l
      for (; m < n - 1; m += 1) {
        const scale = Math.abs(d[m]!) + Math.abs(d[m + 1]!)
        if (Math.abs(e[m]!) <= Number.EPSILON * scale) break
      }
      if (m === l) break
      if (iteration === MAX_QL_ITERATIONS) throw notConverged()
      qlSweep(d, e, l, m)
    }
  }
  return d.sort().reverse()
}

/** One implicit QL step with Wilkinson's shift on rows l … m. */
function qlSweep(d: Float64Array, e: Float64Array, l: number, m: number): void {
  let g = (d[l + 1]! - d[l]!) / (2 * e[l]!)
  let r = hypotenuse(g, 1)
  g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? r : -r))
  let sine = 1
  let cosine = 1
  let p = 0
  for (let i = m - 1; i >= l; i -= 1) {
    const f = sine * e[i]!
    const b = cosine * e[i]!
    r = hypotenuse(f, g)
    e[i + 1] = r
    if (r === 0) {
      // The matrix splits here; the next step starts with smaller parts.
      d[i + 1]! -= p
      e[m] = 0
      return
    }
    sine = f / r
    cosine = g / r
    g = d[i + 1]! - p
    r = (d[i]! - g) * sine + 2 * cosine * b
    p = sine * r
    d[i + 1] = g + p
    g = cosine * r - b
  }
  d[l]! -= p
  e[l] = g
  e[m] = 0
}

/** Entries are scaled to about 1, so nothing overflows and Math.hypot's care (and cost) is not needed. */
function hypotenuse(a: number, b: number): number {
  return Math.sqrt(a * a + b * b)
}

/**
 * Eigenvectors for the first `count` of the descending `eigenvalues`, as the columns of a row-major float32
 * `[n, count]` matrix.
 */
export function tridiagonalEigenvectors(
  diagonal: Float64Array,
  offDiagonal: Float64Array,
  eigenvalues: Float64Array,
  count: number = eigenvalues.length,
): Float32Array {
  const n = diagonal.length
  const vectors = new Float32Array(n * count)
  const norm = eigenvalues.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1
  const solver = new ShiftedSolver(diagonal, offDiagonal, norm)
  let cluster: Float64Array[] = []
  let previous = Infinity
  // Columns are written sixteen at a time: a row of them is one cache line.
  const lane = 16
  let pending: Float64Array[] = []
  for (let k = 0; k < count; k += 1) {
    const eigenvalue = eigenvalues[k]!
    if (k > 0 && eigenvalues[k - 1]! - eigenvalue > CLUSTER_GAP * norm) cluster = []
    const shift = Math.min(eigenvalue, previous - MIN_GAP * norm)
    previous = shift
    const vector = solver.solve(shift, k, cluster)
    cluster.push(vector)
    pending.push(vector)
    if (pending.length === lane || k === count - 1) {
      const first = k + 1 - pending.length
      for (let row = 0; row < n; row += 1) {
        const at = row * count + first
        for (let j = 0; j < pending.length; j += 1) vectors[at + j] = pending[j]![row]!
      }
      pending = []
    }
  }
  return vectors
}

/** Inverse iteration with one tridiagonal matrix: LU with row exchanges of `T − shift`, then two solves. */
class ShiftedSolver {
  private readonly n: number
  private readonly pivot: Float64Array
  private readonly upper1: Float64Array
  private readonly upper2: Float64Array
  private readonly factor: Float64Array
  private readonly exchanged: Uint8Array

  constructor(
    private readonly diagonal: Float64Array,
    private readonly offDiagonal: Float64Array,
    private readonly norm: number,
  ) {
    this.n = diagonal.length
    this.pivot = new Float64Array(this.n)
    this.upper1 = new Float64Array(this.n)
    this.upper2 = new Float64Array(this.n)
    this.factor = new Float64Array(this.n)
    this.exchanged = new Uint8Array(this.n)
  }

  solve(shift: number, seed: number, cluster: readonly Float64Array[]): Float64Array {
    this.factorise(shift)
    const x = new Float64Array(this.n)
    // Any start with a part in every direction does; it must differ inside a cluster and be the same in every run.
    for (let i = 0; i < this.n; i += 1) x[i] = 1 + ((i * 7919 + seed * 104_729) % 1000) / 5000
    for (let iteration = 0; iteration < 2; iteration += 1) {
      this.forward(x)
      this.backward(x)
      normalise(x)
      for (let pass = 0; pass < (cluster.length > 0 ? 2 : 0); pass += 1) {
        for (const other of cluster) subtractProjection(x, other)
        normalise(x)
      }
    }
    return x
  }

  private factorise(shift: number): void {
    const { n, pivot, upper1, upper2, factor, exchanged } = this
    const tiny = 1e-18 * this.norm
    let a = this.diagonal[0]! - shift
    let b = n > 1 ? this.offDiagonal[0]! : 0
    for (let i = 0; i < n - 1; i += 1) {
      const below = this.offDiagonal[i]!
      const nextDiagonal = this.diagonal[i + 1]! - shift
      const nextUpper = i + 2 < n ? this.offDiagonal[i + 1]! : 0
      if (Math.abs(a) >= Math.abs(below)) {
        const p = a === 0 ? tiny : a
        const multiplier = below / p
        factor[i] = multiplier
        exchanged[i] = 0
        pivot[i] = p
        upper1[i] = b
        upper2[i] = 0
        a = nextDiagonal - multiplier * b
        b = nextUpper
      } else {
        const multiplier = a / below
        factor[i] = multiplier
        exchanged[i] = 1
        pivot[i] = below
        upper1[i] = nextDiagonal
        upper2[i] = nextUpper
        a = b - multiplier * nextDiagonal
        b = -multiplier * nextUpper
      }
    }
    pivot[n - 1] = Math.abs(a) < tiny ? tiny : a
  }

  private forward(x: Float64Array): void {
    const { n, factor, exchanged } = this
    let current = x[0]!
    for (let i = 0; i < n - 1; i += 1) {
      const next = x[i + 1]!
      if (exchanged[i]) {
        x[i] = next
        current -= factor[i]! * next
      } else {
        x[i] = current
        current = next - factor[i]! * current
      }
    }
    x[n - 1] = current
  }

  private backward(x: Float64Array): void {
    const { n, pivot, upper1, upper2 } = this
    let next = 0
    let afterNext = 0
    // Solutions grow like 1/(shift − eigenvalue); rescaling before overflow keeps the direction.
    for (let i = n - 1; i >= 0; i -= 1) {
      let value = (x[i]! - upper1[i]! * next - upper2[i]! * afterNext) / pivot[i]!
      if (Math.abs(value) > 1e150) {
        const scale = 1e-150
        for (let j = 0; j < n; j += 1) x[j]! *= scale
        value *= scale
        next *= scale
      }
      x[i] = value
      afterNext = next
      next = value
    }
  }
}

function subtractProjection(x: Float64Array, direction: Float64Array): void {
  let dot = 0
  for (let i = 0; i < x.length; i += 1) dot += x[i]! * direction[i]!
  for (let i = 0; i < x.length; i += 1) x[i]! -= dot * direction[i]!
}

function normalise(x: Float64Array): void {
  let most = 0
  for (let i = 0; i < x.length; i += 1) most = Math.max(most, Math.abs(x[i]!))
  if (!(most > 0 && most < Infinity)) throw notConverged()
  let sum = 0
  for (let i = 0; i < x.length; i += 1) {
    x[i]! /= most
    sum += x[i]! * x[i]!
  }
  const scale = 1 / Math.sqrt(sum)
  for (let i = 0; i < x.length; i += 1) x[i]! *= scale
}

function notFinite(): AppError {
  return new AppError('numeric_failure', 'The Gram matrix of the weights is not finite.', {
    hint: 'The checkpoint holds NaN or infinite weights; lesa inspect names them.',
    context: { stage: 'decomposition' },
  })
}

function notConverged(): AppError {
  return new AppError('numeric_failure', 'The eigenvalue iteration did not settle.', {
    context: { stage: 'decomposition' },
  })
}
