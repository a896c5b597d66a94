/**
 * @file The shared basis of one weight type (ACL 2025, section 3.1): `W = [W_0 | … | W_{N−1}] = U Σ Vᵀ`, split by layer
 * into coordinates `V_i`, so that `W_i = U Σ V_i`. The Gram route: U are eigenvectors of `Σ_i W_i W_iᵀ`, and the
 * coordinates follow from `C_i = Uᵀ W_i`. Because U is orthogonal, `W_i = U C_i` holds to working precision whatever
 * the condition of the Gram matrix.
 */
import { transposed } from '../../lib/matrix'
import { collectGarbage } from '../../onnx/hostMemory'
import type { Runtime, Tensor } from '../../onnx/Runtime'
import { TiledProduct } from '../../onnx/tiles'
import type { CoordinateStore, Precision, StoreShape } from './CoordinateStore'
import { createGramAccumulator } from './gram'
import { computeInto, outputStoredRows, RowEncoder } from './rowEncoding'
import { symmetricEigen } from './symmetricEigen'

/** One weight type's matrices, layer by layer. */
export interface WeightSource {
  readonly layerCount: number
  /** Shape of every `W_i`: `[rows, width]` = `[d_out, d_in]`. */
  readonly rows: number
  readonly width: number
  /** How precisely its coordinates have to be kept: no worse than the weights themselves are. */
  readonly precision: Precision
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
  readonly createStore: (shape: StoreShape) => CoordinateStore
  /** Whether a device that keeps tensors has room for all layers: they stay there from the first pass to the second. */
  readonly keepsLayers?: boolean
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
  collectGarbage()
  const keepsLayers = options.keepsLayers === true && runtime.placement.keepsResults
  const layers = new LayersOnDevice(runtime, source, keepsLayers)
  const gram = await createGramAccumulator(runtime, rows, width)
  for (let layer = 0; layer < layerCount; layer += 1) {
    await layers.use(layer, (w) => gram.add(w))
    await options.onProgress((GRAM_SHARE * (layer + 1)) / layerCount)
  }
  const eigen = await symmetricEigen(runtime, await gram.finish(), rows, {
    chooseRank: (values) => leadingDirections(values, options.energy),
    onProgress: (done) => options.onProgress(GRAM_SHARE + EIGEN_SHARE * done),
  })
  collectGarbage()
  const { precision } = source
  const coordinates = options.createStore({ layerCount, rank: eigen.rank, width, precision })
  // As rows, directions can be taken some at a time without copying.
  const directions = transposed(eigen.vectors, rows, eigen.rank)
  const squares = await project(runtime, layers, directions, coordinates, async (done) => {
    // Exactly 1 at the end, where a sum of the shares may round below it.
    await options.onProgress(1 - (1 - GRAM_SHARE - EIGEN_SHARE) * (1 - done))
  })
  const singularValues = Float32Array.from(squares, Math.sqrt)
  const floor =
    rankTolerance(rows) * singularValues.reduce((most, value) => Math.max(most, value), 0)
  const last = singularValues.findLastIndex((value) => value > floor)
  const rank = Math.max(1, last + 1)
  coordinates.truncate(rank)
  // A model of zeros has one direction, of no weight.
  coordinates.scaleRows(singularValues.map((sigma) => (sigma > 0 ? 1 / sigma : 0)))
  return {
    basis: transposed(directions.subarray(0, rank * rows), rank, rows),
    singularValues: singularValues.subarray(0, rank),
    rows,
    rank,
    coordinates,
  }
}

/**
 * Writes C_i = Uᵀ W_i of every layer into the store.
 *
 * @param directions Uᵀ, `[rank, rows]`.
 * @returns Σ_i ‖C_i[k]‖² for every direction k.
 */
async function project(
  runtime: Runtime,
  layers: LayersOnDevice,
  directions: Float32Array,
  store: CoordinateStore,
  report: (done: number) => Promise<void>,
): Promise<Float64Array> {
  const { layerCount, rows } = layers.source
  const rank = store.storedRank
  const squares = new Float64Array(rank)
  const product = await TiledProduct.create(runtime, directions, rows, (g, c) =>
    outputStoredRows(g, c, store.precision),
  )
  for (let layer = 0; layer < layerCount; layer += 1) {
    await layers.use(layer, async (w) => {
      for (const tile of product.tiles) {
        const { first, count } = tile
        const place = { layer, first, count }
        const added = await computeInto(runtime, store, place, (into) =>
          product.outputs(tile, w, into),
        )
        added.forEach((square, k) => (squares[first + k]! += square))
      }
    })
    await report((layer + 1) / layerCount)
  }
  await product.dispose()
  return squares
}

/** A source's layers as tensors, one at a time, or kept on the device between their two uses. */
class LayersOnDevice {
  readonly #kept = new Map<number, Tensor>()

  constructor(
    private readonly runtime: Runtime,
    readonly source: WeightSource,
    private readonly keeps: boolean,
  ) {}

  /** Calls `work` with the layer; a layer that was kept is given up after its second use. */
  async use(layer: number, work: (w: Tensor) => Promise<void>): Promise<void> {
    const { rows, width } = this.source
    const kept = this.#kept.get(layer)
    const w = kept ?? (await this.runtime.upload(await this.source.read(layer), [rows, width]))
    await work(w)
    if (this.keeps && !kept) this.#kept.set(layer, w)
    else this.runtime.release(w)
  }
}

/** The ablation (`--no-svd`): each layer's own rows serve as its coordinates. */
export async function withoutDecomposition(
  runtime: Runtime,
  source: WeightSource,
  options: Pick<DecomposeOptions, 'createStore' | 'onProgress'>,
): Promise<Decomposition> {
  collectGarbage()
  const { layerCount, rows, width, precision } = source
  const coordinates = options.createStore({ layerCount, rank: rows, width, precision })
  const encoder = await RowEncoder.create(runtime, coordinates)
  for (let layer = 0; layer < layerCount; layer += 1) {
    await encoder.write(layer, 0, await source.read(layer))
    await options.onProgress((layer + 1) / layerCount)
  }
  await encoder.dispose()
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
