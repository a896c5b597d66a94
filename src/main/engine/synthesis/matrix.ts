/**
 * @file Random matrices with the traits of a trained model's that matter to decomposition and prediction:
 *
 *     W_l[i, j] = deviation · ( √(1−ρ) · r_i · c_j · g_lij  +  √ρ · Σ_t a_it · d_k(i,t)(l)[j] )
 *
 * Rows and columns have heavy-tailed scales `r`, `c` (log-normal, the same in every layer), so the bulk of the spectrum
 * is not the semicircle of flat noise. The second part has rank {@link DIRECTIONS}: each row mixes {@link TERMS} of the
 * directions `d`, whose strengths fall off as a power law, which gives the large leading singular values. Every
 * direction turns slowly with depth, `d_k(l) = cos(φ_k l)·p_k + sin(φ_k l)·q_k`, so that neighbouring layers resemble
 * each other and distant ones do not. `g` is Gaussian and new in every layer.
 *
 * Built for speed, some 3 ns an element: the Gaussians come from a table, and only plain float64 arithmetic rounded once
 * is used, so that the values do not depend on the machine.
 */
import { Random } from '../lib/random'

/** What a synthetic matrix is; the same description and seed give the same values. */
export interface MatrixRecipe {
  /** Names the matrix across layers: layers of one family share scales and directions. */
  readonly family: string
  readonly layer: number
  readonly rows: number
  readonly columns: number
  /** Standard deviation of the elements. */
  readonly deviation: number
}

/** ρ: share of the variance in the part that neighbouring layers have in common. */
const SHARED = 0.2
const DIRECTIONS = 64
/** Directions that each row mixes; the inner loop is written out for this number. */
const TERMS = 4
/** Strength of direction k: (k+1)^−STRENGTH_DECAY. */
const STRENGTH_DECAY = 0.5
/** Deviation of the logarithm of row and column scales. */
const ROW_SPREAD = 0.4
const COLUMN_SPREAD = 0.3
/** Radians a layer that the slowest and the fastest direction turn. */
const TURN = { least: 0.03, most: 0.4 }

/** Elements made at a time. */
const CHUNK_ELEMENTS = 2 ** 20

const TABLE_BITS = 13
let gaussianTable: Float32Array | undefined

/** Standard normal values (mean 0, mean square 1) to pick from at random. */
function gaussians(): Float32Array {
  if (gaussianTable) return gaussianTable
  const random = new Random(0, 'gaussian table')
  const half = 2 ** (TABLE_BITS - 1)
  const values = Float64Array.from({ length: half }, () => Math.abs(random.normal()))
  const scale = Math.sqrt(half / values.reduce((sum, value) => sum + value * value, 0))
  // Both signs of each, so that the mean is exactly zero.
  gaussianTable = Float32Array.from({ length: 2 * half }, (_, index) =>
    index < half ? values[index]! * scale : -values[index - half]! * scale,
  )
  return gaussianTable
}

/**
 * Yields the matrix in blocks of whole rows, row-major. The array is reused once the next block is asked for.
 */
export function* matrixBlocks(recipe: MatrixRecipe, seed: number): Generator<Float32Array, void> {
  const { family, layer, rows, columns, deviation } = recipe
  const directions = directionsAt(recipe, seed)
  const columnScales = logNormals(new Random(seed, family, 'columns'), columns, COLUMN_SPREAD)
  const rowRandom = new Random(seed, family, 'rows')
  const noise = new Random(seed, family, 'noise', layer)
  const state = Int32Array.of(noise.uint32(), noise.uint32() | 1)
  const strengths = directionStrengths()
  const rowsAtOnce = Math.max(1, Math.floor(CHUNK_ELEMENTS / columns))
  const block = new Float32Array(Math.min(rows, rowsAtOnce) * columns)
  const mix = new Float64Array(TERMS)
  const starts = new Int32Array(TERMS)
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - first)
    for (let row = 0; row < count; row += 1) {
      const scale = deviation * Math.sqrt(1 - SHARED) * logNormal(rowRandom, ROW_SPREAD)
      for (let term = 0; term < TERMS; term += 1) {
        // Squared, so that leading directions are met more often.
        const direction = Math.floor(DIRECTIONS * rowRandom.uniform() ** 2)
        starts[term] = direction * columns
        mix[term] = deviation * strengths[direction]! * rowRandom.normal()
      }
      fillRow(block, row * columns, columnScales, scale, directions, starts, mix, state)
    }
    yield count * columns === block.length ? block : block.subarray(0, count * columns)
  }
}

/** One row: table Gaussians from a 64-bit xorshift (Marsaglia 2003), two for each draw, plus the mixed directions. */
function fillRow(
  block: Float32Array,
  at: number,
  columnScales: Float32Array,
  scale: number,
  directions: Float32Array,
  starts: Int32Array,
  mix: Float64Array,
  state: Int32Array,
): void {
  const table = gaussians()
  const mask = table.length - 1
  const columns = columnScales.length
  const [s0, s1, s2, s3] = [starts[0]!, starts[1]!, starts[2]!, starts[3]!]
  const [m0, m1, m2, m3] = [mix[0]!, mix[1]!, mix[2]!, mix[3]!]
  let [x, y] = [state[0]!, state[1]!]
  for (let j = 0; j < columns; j += 2) {
    const t = x ^ (x << 10)
    x = y
    y = y ^ (y >>> 10) ^ (t ^ (t >>> 13))
    block[at + j] =
      table[y >>> (32 - TABLE_BITS)]! * scale * columnScales[j]! +
      (m0 * directions[s0 + j]! +
        m1 * directions[s1 + j]! +
        m2 * directions[s2 + j]! +
        m3 * directions[s3 + j]!)
    if (j + 1 === columns) break
    block[at + j + 1] =
      table[(y >>> 3) & mask]! * scale * columnScales[j + 1]! +
      (m0 * directions[s0 + j + 1]! +
        m1 * directions[s1 + j + 1]! +
        m2 * directions[s2 + j + 1]! +
        m3 * directions[s3 + j + 1]!)
  }
  state[0] = x
  state[1] = y
}

/** Every direction at this depth, row-major `[DIRECTIONS, columns]`, entries of unit variance. */
function directionsAt({ family, layer, columns }: MatrixRecipe, seed: number): Float32Array {
  const random = new Random(seed, family, 'directions')
  const table = gaussians()
  const gaussian = (): number => table[random.uint32() >>> (32 - TABLE_BITS)]!
  const directions = new Float32Array(DIRECTIONS * columns)
  for (let k = 0; k < DIRECTIONS; k += 1) {
    const angle = layer * (TURN.least + (TURN.most - TURN.least) * random.uniform())
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
    for (let j = 0; j < columns; j += 1) {
      directions[k * columns + j] = cos * gaussian() + sin * gaussian()
    }
  }
  return directions
}

/** Strengths that give the shared part of a row the variance {@link SHARED} on average over rows. */
function directionStrengths(): Float64Array {
  const raw = Float64Array.from({ length: DIRECTIONS }, (_, k) => (k + 1) ** -STRENGTH_DECAY)
  // Direction k is drawn when √(k/D) ≤ u < √((k+1)/D).
  const power = raw.reduce((sum, strength, k) => {
    const chance = Math.sqrt((k + 1) / DIRECTIONS) - Math.sqrt(k / DIRECTIONS)
    return sum + chance * strength * strength
  }, 0)
  const scale = Math.sqrt(SHARED / (TERMS * power))
  return raw.map((strength) => strength * scale)
}

/** A heavy-tailed positive scale whose mean square is 1. */
function logNormal(random: Random, spread: number): number {
  return Math.exp(spread * random.normal() - spread * spread)
}

function logNormals(random: Random, count: number, spread: number): Float32Array {
  return Float32Array.from({ length: count }, () => logNormal(random, spread))
}

/** What a norm weight or a bias is made of. */
export interface VectorRecipe {
  readonly family: string
  readonly layer: number
  readonly size: number
  /** Centre of the values; a bias has 0. */
  readonly level: number
  /** Of a norm weight: deviation of its logarithm. Of a bias: its typical size. */
  readonly spread: number
}

/** Share of the entries that are outliers, as in trained norm weights, and how far out they are. */
const OUTLIERS = { share: 1 / 256, factor: 3 }

/** A norm weight: entries around `level`, a few outliers, which are the same entries in every layer. */
export function normVector(recipe: VectorRecipe, seed: number): Float32Array {
  const { family, layer, size, level, spread } = recipe
  const places = new Random(seed, family, 'outliers')
  const random = new Random(seed, family, 'norm', layer)
  return Float32Array.from({ length: size }, () => {
    const factor = places.uniform() < OUTLIERS.share ? OUTLIERS.factor : 1
    return level * factor * Math.exp(spread * random.normal())
  })
}

/** A bias: centred, heavy-tailed, in part the same in every layer. */
export function biasVector(recipe: VectorRecipe, seed: number): Float32Array {
  const { family, layer, size, level, spread } = recipe
  const common = new Random(seed, family, 'bias')
  const own = new Random(seed, family, 'bias', layer)
  return Float32Array.from({ length: size }, () => {
    const tail = Math.exp(common.normal())
    return level + spread * tail * (0.8 * common.normal() + 0.6 * own.normal())
  })
}
