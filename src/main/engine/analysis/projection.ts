/**
 * @file The plane that the paper's picture is drawn in: each layer's top direction `V_i[0]`, by principal components
 * (exact, from the matrix of inner products) or by t-SNE (van der Maaten & Hinton 2008, exact gradients). Both take the
 * same decisions on every machine: signs and the start are fixed.
 */
import { Random } from '../lib/random'

/** Points by rows, `[count, width]`. */
export interface PointSet {
  readonly count: number
  readonly width: number
  readonly values: Float32Array
}

export interface Plane {
  readonly x: Float64Array
  readonly y: Float64Array
  /** Share of the variance along both axes; `null` where axes mean nothing. */
  readonly explained: readonly [number, number] | null
}

/**
 * The two principal components; the coordinate of largest magnitude along each is positive.
 *
 * @param fitted The points that make the plane; the others are only drawn in it. All of them by default.
 */
export function projectByPca(
  points: PointSet,
  fitted: readonly number[] = Array.from({ length: points.count }, (_, index) => index),
): Plane {
  const { count, width } = points
  const mean = meanOf(points, fitted)
  const centred = fitted.map((index) => centredRow(points, index, mean))
  const n = fitted.length
  const gram = new Float64Array(n * n)
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      gram[i * n + j] = dot(centred[i]!, centred[j]!)
      gram[j * n + i] = gram[i * n + j]!
    }
  }
  let total = 0
  for (let i = 0; i < n; i += 1) total += gram[i * n + i]!
  const { values, vectors } = jacobiEigen(gram, n)
  // Below this a direction is rounding, and its coordinates would be noise scaled up.
  const floor = 1e-12 * Math.max(0, values[0] ?? 0)
  const coordinates = (rank: number): Float64Array => {
    const value = rank < n ? values[rank]! : 0
    if (value <= floor) return new Float64Array(count)
    const axis = new Float64Array(width)
    centred.forEach((row, i) => {
      const share = vectors[i * n + rank]! / Math.sqrt(value)
      for (let k = 0; k < width; k += 1) axis[k]! += share * row[k]!
    })
    const along = Float64Array.from({ length: count }, (_, index) =>
      dot(centredRow(points, index, mean), axis),
    )
    const largest = along.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0)
    return largest < 0 ? along.map((x) => -x) : along
  }
  const share = (rank: number): number => (total > 0 ? Math.max(0, values[rank] ?? 0) / total : 0)
  return { x: coordinates(0), y: coordinates(1), explained: [share(0), share(1)] }
}

function meanOf({ width, values }: PointSet, rows: readonly number[]): Float64Array {
  const mean = new Float64Array(width)
  for (const row of rows) {
    for (let k = 0; k < width; k += 1) mean[k]! += values[row * width + k]! / rows.length
  }
  return mean
}

function centredRow({ width, values }: PointSet, row: number, mean: Float64Array): Float64Array {
  return Float64Array.from({ length: width }, (_, k) => values[row * width + k]! - mean[k]!)
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let k = 0; k < a.length; k += 1) sum += a[k]! * b[k]!
  return sum
}

const JACOBI_SWEEPS = 60

/**
 * Eigenvalues, descending, and eigenvectors (columns of a row-major `[n, n]` matrix) of a symmetric matrix of a few
 * hundred rows, by cyclic Jacobi rotations.
 */
export function jacobiEigen(
  matrix: Float64Array,
  n: number,
): { values: Float64Array; vectors: Float64Array } {
  const a = matrix.slice()
  const v = new Float64Array(n * n)
  for (let i = 0; i < n; i += 1) v[i * n + i] = 1
  const scale = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  for (let sweep = 0; sweep < JACOBI_SWEEPS; sweep += 1) {
    let off = 0
    for (let p = 0; p < n; p += 1) for (let q = 0; q < p; q += 1) off += a[p * n + q]! ** 2
    if (Math.sqrt(off) <= 1e-14 * scale * n) break
    for (let p = 0; p < n - 1; p += 1) for (let q = p + 1; q < n; q += 1) rotate(a, v, n, p, q)
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j]! - a[i * n + i]!)
  const vectors = new Float64Array(n * n)
  order.forEach((from, to) => {
    for (let i = 0; i < n; i += 1) vectors[i * n + to] = v[i * n + from]!
  })
  return { values: Float64Array.from(order, (i) => a[i * n + i]!), vectors }
}

function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q]!
  if (apq === 0) return
  const theta = (a[q * n + q]! - a[p * n + p]!) / (2 * apq)
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
  const c = 1 / Math.sqrt(t * t + 1)
  const s = t * c
  for (let k = 0; k < n; k += 1) {
    const [kp, kq] = [a[k * n + p]!, a[k * n + q]!]
    a[k * n + p] = c * kp - s * kq
    a[k * n + q] = s * kp + c * kq
  }
  for (let k = 0; k < n; k += 1) {
    const [pk, qk] = [a[p * n + k]!, a[q * n + k]!]
    a[p * n + k] = c * pk - s * qk
    a[q * n + k] = s * pk + c * qk
    const [vp, vq] = [v[k * n + p]!, v[k * n + q]!]
    v[k * n + p] = c * vp - s * vq
    v[k * n + q] = s * vp + c * vq
  }
}

/** Squared distances between all points, `[count, count]`. */
export function squaredDistances({ count, width, values }: PointSet): Float64Array {
  const distances = new Float64Array(count * count)
  for (let i = 0; i < count; i += 1) {
    for (let j = 0; j < i; j += 1) {
      let sum = 0
      for (let k = 0; k < width; k += 1) {
        sum += (values[i * width + k]! - values[j * width + k]!) ** 2
      }
      distances[i * count + j] = sum
      distances[j * count + i] = sum
    }
  }
  return distances
}

/** As in the reference implementation: momentum, gains, and the attraction exaggerated at first. */
const TSNE = {
  iterations: 1000,
  exaggeration: 12,
  exaggerated: 250,
  momentum: [0.5, 0.8],
  minGain: 0.01,
} as const

/**
 * t-SNE of a few hundred points.
 *
 * @param options.perplexity Lowered to what the number of points allows, a third of it.
 */
export function projectByTsne(
  points: PointSet,
  options: { readonly perplexity: number; readonly seed: number },
): Plane {
  const { count } = points
  if (count < 4) return { ...projectByPca(points), explained: null }
  const perplexity = Math.min(options.perplexity, (count - 1) / 3)
  const affinities = jointAffinities(squaredDistances(points), count, perplexity)
  const random = new Random(options.seed, 'tsne')
  const position = Float64Array.from({ length: 2 * count }, () => 1e-4 * random.normal())
  const velocity = new Float64Array(2 * count)
  const gains = new Float64Array(2 * count).fill(1)
  const gradient = new Float64Array(2 * count)
  const weights = new Float64Array(count * count)
  const rate = Math.max(count / TSNE.exaggeration / 4, 10)
  for (let step = 0; step < TSNE.iterations; step += 1) {
    const early = step < TSNE.exaggerated
    tsneGradient(affinities, position, weights, gradient, early ? TSNE.exaggeration : 1)
    const momentum = TSNE.momentum[early ? 0 : 1]
    for (let i = 0; i < 2 * count; i += 1) {
      const agrees = Math.sign(gradient[i]!) === Math.sign(velocity[i]!)
      gains[i] = Math.max(TSNE.minGain, agrees ? gains[i]! * 0.8 : gains[i]! + 0.2)
      velocity[i] = momentum * velocity[i]! - rate * gains[i]! * gradient[i]!
      position[i]! += velocity[i]!
    }
  }
  const coordinate = (axis: number): Float64Array => {
    const values = Float64Array.from({ length: count }, (_, i) => position[2 * i + axis]!)
    const mean = values.reduce((sum, value) => sum + value, 0) / count
    return values.map((value) => value - mean)
  }
  return { x: coordinate(0), y: coordinate(1), explained: null }
}

function tsneGradient(
  affinities: Float64Array,
  position: Float64Array,
  weights: Float64Array,
  gradient: Float64Array,
  exaggeration: number,
): void {
  const count = position.length / 2
  let total = 0
  for (let i = 0; i < count; i += 1) {
    for (let j = 0; j < i; j += 1) {
      const dx = position[2 * i]! - position[2 * j]!
      const dy = position[2 * i + 1]! - position[2 * j + 1]!
      const weight = 1 / (1 + dx * dx + dy * dy)
      weights[i * count + j] = weight
      weights[j * count + i] = weight
      total += 2 * weight
    }
  }
  gradient.fill(0)
  for (let i = 0; i < count; i += 1) {
    for (let j = 0; j < count; j += 1) {
      if (i === j) continue
      const weight = weights[i * count + j]!
      const pull = 4 * (exaggeration * affinities[i * count + j]! - weight / total) * weight
      gradient[2 * i]! += pull * (position[2 * i]! - position[2 * j]!)
      gradient[2 * i + 1]! += pull * (position[2 * i + 1]! - position[2 * j + 1]!)
    }
  }
}

/** Symmetric joint probabilities; each point's Gaussian is as wide as the perplexity asks for, found by bisection. */
function jointAffinities(distances: Float64Array, count: number, perplexity: number): Float64Array {
  const target = Math.log(perplexity)
  const conditional = new Float64Array(count * count)
  for (let i = 0; i < count; i += 1) {
    const row = distances.subarray(i * count, (i + 1) * count)
    const others = row.filter((_, j) => j !== i)
    const nearest = others.reduce((least, value) => Math.min(least, value), Infinity)
    const mean = others.reduce((sum, value) => sum + value, 0) / others.length
    // Copies of one layer lie on each other: any width will do.
    let beta = mean > 0 ? 1 / mean : 1
    let [low, high] = [0, Infinity]
    for (let attempt = 0; attempt < 64; attempt += 1) {
      let [sum, weighted] = [0, 0]
      for (const distance of others) {
        const p = Math.exp(-beta * (distance - nearest))
        sum += p
        weighted += p * (distance - nearest)
      }
      const entropy = Math.log(sum) + (beta * weighted) / sum
      if (Math.abs(entropy - target) < 1e-6) break
      if (entropy > target) {
        low = beta
        beta = high === Infinity ? beta * 2 : (beta + high) / 2
      } else {
        high = beta
        beta = (beta + low) / 2
      }
    }
    let sum = 0
    for (let j = 0; j < count; j += 1) {
      const p = j === i ? 0 : Math.exp(-beta * (row[j]! - nearest))
      conditional[i * count + j] = p
      sum += p
    }
    for (let j = 0; j < count; j += 1) conditional[i * count + j]! /= sum
  }
  return conditional.map((value, at) => {
    const [i, j] = [Math.floor(at / count), at % count]
    return i === j ? 0 : Math.max(1e-12, (value + conditional[j * count + i]!) / (2 * count))
  })
}
