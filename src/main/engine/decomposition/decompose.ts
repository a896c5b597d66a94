/**
 * @file The shared basis of one weight type (ACL 2025, section 3.1): `W = [W_0 | … | W_{N−1}] = U Σ Vᵀ`, split by layer
 * into coordinates `V_i`, so that `W_i = U Σ V_i`. The Gram route: U are eigenvectors of `Σ_i W_i W_iᵀ`, and the
 * coordinates follow from `C_i = Uᵀ W_i`. Because U is orthogonal, `W_i = U C_i` holds to working precision whatever
 * the condition of the Gram matrix.
 */
import { Graph } from '../onnx/graph'
import { collectGarbage } from '../onnx/hostMemory'
import type { Runtime, Tensor } from '../onnx/Runtime'
import type { CoordinateStore } from './CoordinateStore'
import { GramAccumulator } from './gram'
import { symmetricEigen } from './symmetricEigen'

/** One weight type's matrices, layer by layer. */
export interface WeightSource {
  readonly layerCount: number
  /** Shape of every `W_i`: `[rows, width]` = `[d_out, d_in]`. */
  readonly rows: number
  readonly width: number
  /** Float32, row-major; the array may be reused by the next call. */
  read(layer: number): Promise<Float32Array>
}

/** `W_i = U Σ V_i`; with no basis (the ablation without SVD) the coordinates are the rows of `W_i` themselves. */
export interface Decomposition {
  /** U, row-major `[rows, rank]`; `null` without SVD. */
  readonly basis: Float32Array | null
  /** Σ, descending; `null` without SVD. */
  readonly singularValues: Float32Array | null
  readonly rows: number
  readonly rank: number
  readonly coordinates: CoordinateStore
}

export interface DecomposeOptions {
  /** Share of Σσ² that the kept directions must hold, at most 1. */
  readonly energy: number
  /** Makes the store for the coordinates once the rank is known. */
  readonly createStore: (layerCount: number, rank: number, width: number) => CoordinateStore
  /** Called between units of work with the done share, 0 … 1; may throw to stop. */
  readonly onProgress: (done: number) => void | Promise<void>
}

/**
 * Singular values below this share of the largest are the rounding of a float32 basis and belong to no direction: a
 * matrix of lower rank has fewer directions, and their coordinates would be noise scaled up to unit length.
 */
const rankTolerance = (rows: number): number => 8 * Math.sqrt(rows) * 2 ** -24

/** Share of the work in each part, for progress: Gram accumulation, eigenvectors, coordinates. */
const GRAM_SHARE = 0.3
const EIGEN_SHARE = 0.35

/** Decomposes one weight type. Never holds more than two layers' matrices and what the store keeps. */
export async function decompose(
  runtime: Runtime,
  source: WeightSource,
  options: DecomposeOptions,
): Promise<Decomposition> {
  const { layerCount, rows, width } = source
  const gram = await GramAccumulator.create(runtime, rows, width)
  for (let layer = 0; layer < layerCount; layer += 1) {
    await gram.add(runtime.float32(await source.read(layer), [rows, width]))
    await options.onProgress((GRAM_SHARE * (layer + 1)) / layerCount)
  }
  const eigen = await symmetricEigen(runtime, await gram.finish(), rows, {
    chooseRank: (values) => leadingDirections(values, options.energy),
    onProgress: (done) => options.onProgress(GRAM_SHARE + EIGEN_SHARE * done),
  })
  const { vectors } = eigen
  collectGarbage()
  const coordinates = options.createStore(layerCount, eigen.rank, width)
  const squares = new Float64Array(eigen.rank)
  const kernel = await runtime.compile(coordinatesGraph(), { keepsMemory: false })
  const u: Tensor = await runtime.upload(vectors, [rows, eigen.rank])
  for (let layer = 0; layer < layerCount; layer += 1) {
    const w = runtime.float32(await source.read(layer), [rows, width])
    const results = await kernel.run({ u, w })
    coordinates.write(layer, results.floats('c'))
    results.floats('squares').forEach((value, k) => {
      squares[k]! += value
    })
    // Exactly 1 at the end, where a sum of the shares may round below it.
    const left = (1 - GRAM_SHARE - EIGEN_SHARE) * (1 - (layer + 1) / layerCount)
    await options.onProgress(1 - left)
  }
  runtime.release(u)
  await kernel.dispose()
  const singularValues = Float32Array.from(squares, Math.sqrt)
  const floor =
    rankTolerance(rows) * singularValues.reduce((most, value) => Math.max(most, value), 0)
  const last = singularValues.findLastIndex((value) => value > floor)
  const rank = Math.max(1, last + 1)
  coordinates.truncate(rank)
  // A model of zeros has one direction, of no weight.
  coordinates.setRowScale(singularValues.map((sigma) => (sigma > 0 ? 1 / sigma : 0)))
  return {
    basis: keepColumns(vectors, rows, eigen.rank, rank),
    singularValues: singularValues.subarray(0, rank),
    rows,
    rank,
    coordinates,
  }
}

/** The ablation (`--no-svd`): each layer's own rows serve as its coordinates. */
export async function withoutDecomposition(
  source: WeightSource,
  options: Pick<DecomposeOptions, 'createStore' | 'onProgress'>,
): Promise<Decomposition> {
  const { layerCount, rows, width } = source
  const coordinates = options.createStore(layerCount, rows, width)
  for (let layer = 0; layer < layerCount; layer += 1) {
    coordinates.write(layer, (await source.read(layer)).slice())
    await options.onProgress((layer + 1) / layerCount)
  }
  return { basis: null, singularValues: null, rows, rank: rows, coordinates }
}

/** The fewest leading directions that hold `energy` of Σσ², given σ² in descending order. */
export function leadingDirections(squares: Float64Array, energy: number): number {
  if (energy >= 1) return squares.length
  const total = squares.reduce((sum, value) => sum + Math.max(0, value), 0)
  let held = 0
  const enough = squares.findIndex((value) => {
    held += Math.max(0, value)
    return held >= energy * total
  })
  return enough === -1 ? squares.length : enough + 1
}

function keepColumns(
  matrix: Float32Array,
  rows: number,
  columns: number,
  kept: number,
): Float32Array {
  if (kept === columns) return matrix
  const narrow = new Float32Array(rows * kept)
  for (let row = 0; row < rows; row += 1) {
    narrow.set(matrix.subarray(row * columns, row * columns + kept), row * kept)
  }
  return narrow
}

/** C = Uᵀ W and the squared norm of each of its rows. */
function coordinatesGraph(): Graph {
  const g = new Graph()
  const u = g.input('u', ['n', 'r'])
  const w = g.input('w', ['n', 'width'])
  const c = g.gemm(u, w, { transA: true })
  g.output('c', c)
  g.output('squares', g.sum(g.square(c), [1]))
  return g
}
