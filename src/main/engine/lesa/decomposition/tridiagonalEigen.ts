/**
 * @file The symmetric tridiagonal eigenproblem in float64 on the host, O(n²): eigenvalues by the implicit QL iteration
 * (Golub & Van Loan, Matrix Computations, section 8.3), eigenvectors by inverse iteration with partial pivoting
 * (Parlett, The Symmetric Eigenvalue Problem, section 4.9), re-orthogonalised only among eigenvalues so close that
 * float64 inverse iteration would not separate their vectors to float32 precision.
 */
import { AppError } from '@shared/errors'

/** float64 inverse iteration leaves an overlap of about 2e-16·‖T‖/gap: 1e-8 relative gap keeps it below 1e-7. */
const CLUSTER_GAP = 1e-8

/** Vectors of a cluster made at once: within them on the host, against the earlier ones as products of matrices. */
const CLUSTER_BLOCK = 64

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

/** Takes from each row of `block`, `[b, n]`, its parts along the orthonormal rows of `basis`, `[m, n]`, in place. */
export type Projector = (block: Float32Array, basis: Float32Array) => Promise<void>

/**
 * Eigenvectors for the first `count` of the descending `eigenvalues`, as the columns of a row-major float32
 * `[n, count]` matrix.
 *
 * @param project Called for clusters of more than 64 eigenvalues, which the null space of a weight makes.
 */
export async function tridiagonalEigenvectors(
  diagonal: Float64Array,
  offDiagonal: Float64Array,
  eigenvalues: Float64Array,
  project: Projector,
  count: number = eigenvalues.length,
): Promise<Float32Array> {
  const n = diagonal.length
  const vectors = new Float32Array(n * count)
  const norm = eigenvalues.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1
  const shifts = apart(eigenvalues.subarray(0, count), MIN_GAP * norm)
  const solver = new ShiftedSolver(diagonal, offDiagonal, norm)
  const writer = new ColumnWriter(vectors, n, count)
  for (const [first, end] of clustersOf(eigenvalues.subarray(0, count), CLUSTER_GAP * norm)) {
    if (end === first + 1) {
      const vector = startVector(n, first)
      solver.solve(vector, shifts[first]!, 2)
      writer.add(vector)
      continue
    }
    const basis = new Float32Array(end - first > CLUSTER_BLOCK ? (end - first) * n : 0)
    for (let start = first; start < end; start += CLUSTER_BLOCK) {
      const own = shifts.subarray(start, Math.min(start + CLUSTER_BLOCK, end))
      const earlier = basis.subarray(0, (start - first) * n)
      const block = await clusterBlock(solver, own, start, n, (rows) => project(rows, earlier))
      for (const [k, vector] of block.entries()) {
        if (basis.length > 0) basis.set(vector, (start - first + k) * n)
        writer.add(vector)
      }
    }
  }
  writer.flush()
  return vectors
}

/** Runs `[first, end)` of descending values whose neighbours are no further than `gap` apart. */
function clustersOf(values: Float64Array, gap: number): [first: number, end: number][] {
  const starts: number[] = []
  values.forEach((value, k) => {
    if (k === 0 || values[k - 1]! - value > gap) starts.push(k)
  })
  return starts.map((first, index) => [first, starts[index + 1] ?? values.length])
}

/** Descending values at least `gap` apart, so that the iterations of equal eigenvalues differ. */
function apart(values: Float64Array, gap: number): Float64Array {
  let previous = Infinity
  return values.map((value) => (previous = Math.min(value, previous - gap)))
}

/** Inverse iteration for some eigenvalues of a cluster, kept orthogonal to each other and to its earlier vectors. */
async function clusterBlock(
  solver: ShiftedSolver,
  shifts: Float64Array,
  seed: number,
  n: number,
  projectOut: (rows: Float32Array) => Promise<void>,
): Promise<Float64Array[]> {
  const block = Array.from(shifts, (_, k) => startVector(n, seed + k))
  for (let iteration = 0; iteration < 2; iteration += 1) {
    for (const [k, vector] of block.entries()) solver.solve(vector, shifts[k]!, 1)
    // Twice is enough: what the first pass leaves is rounding, which the second one sees at full length.
    for (let pass = 0; pass < 2; pass += 1) {
      const rows = new Float32Array(block.length * n)
      for (const [k, vector] of block.entries()) rows.set(vector, k * n)
      await projectOut(rows)
      for (const [k, vector] of block.entries()) {
        vector.set(rows.subarray(k * n, (k + 1) * n))
        normalise(vector)
        for (const other of block.slice(0, k)) subtractProjection(vector, other)
        normalise(vector)
      }
    }
  }
  return block
}

/** Any start with a part in every direction does; it must differ inside a cluster and be the same in every run. */
function startVector(n: number, seed: number): Float64Array {
  const x = new Float64Array(n)
  let state = seed + 1
  for (let i = 0; i < n; i += 1) {
    // Numerical Recipes' generator, of which the upper bits count.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    x[i] = 0.5 + state / 2 ** 32
  }
  return x
}

/** Writes vectors as columns, sixteen at a time: a row of them is one cache line. */
class ColumnWriter {
  private readonly pending: Float64Array[] = []
  private written = 0

  constructor(
    private readonly matrix: Float32Array,
    private readonly rows: number,
    private readonly columns: number,
  ) {}

  add(vector: Float64Array): void {
    this.pending.push(vector)
    if (this.pending.length === 16) this.flush()
  }

  flush(): void {
    const { matrix, pending, rows, columns } = this
    for (let row = 0; row < rows; row += 1) {
      const at = row * columns + this.written
      for (let j = 0; j < pending.length; j += 1) matrix[at + j] = pending[j]![row]!
    }
    this.written += pending.length
    pending.length = 0
  }
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

  /** Improves `x` towards the eigenvector nearest to `shift`, and leaves it at unit length. */
  solve(x: Float64Array, shift: number, iterations: number): void {
    this.factorise(shift)
    for (let iteration = 0; iteration < iterations; iteration += 1) {
      this.forward(x)
      this.backward(x)
      normalise(x)
    }
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
