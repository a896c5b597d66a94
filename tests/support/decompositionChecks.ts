import type {
  CoordinateStore,
  Precision,
} from '../../src/main/engine/lesa/decomposition/CoordinateStore'
import type {
  Decomposition,
  WeightSource,
} from '../../src/main/engine/lesa/decomposition/decompose'
import { seededFloats } from './random'

/** Matrices in memory as a source. */
export function sourceOf(
  layers: readonly Float32Array[],
  rows: number,
  precision: Precision = 'float32',
): WeightSource {
  return {
    precision,
    layerCount: layers.length,
    rows,
    width: (layers[0]?.length ?? 0) / rows,
    read: (layer) => Promise.resolve(layers[layer] ?? new Float32Array()),
  }
}

export function randomLayers(count: number, rows: number, width: number, seed = 1): Float32Array[] {
  return Array.from({ length: count }, (_, layer) => seededFloats(rows * width, seed + layer))
}

/** A layer's coordinates `[rank, width]`. */
export function layerRows(store: CoordinateStore, layer: number): Float32Array {
  const rows = new Float32Array(store.rank * store.width)
  store.copyRows(layer, 0, store.rank, rows, 0)
  return rows
}

/** max|UᵀU − I| in float64. */
export function orthogonality({ basis, rows, rank }: Decomposition): number {
  if (!basis) throw new Error('no basis')
  let most = 0
  for (let a = 0; a < rank; a += 1) {
    for (let b = 0; b <= a; b += 1) {
      let dot = 0
      for (let i = 0; i < rows; i += 1)
        dot += (basis[i * rank + a] ?? 0) * (basis[i * rank + b] ?? 0)
      most = Math.max(most, Math.abs(dot - (a === b ? 1 : 0)))
    }
  }
  return most
}

/** ‖W − U Σ V‖_F / ‖W‖_F of one layer, in float64. */
export function reconstructionError(
  { basis, singularValues, rows, rank, coordinates }: Decomposition,
  layer: number,
  weights: Float32Array,
): number {
  const v = layerRows(coordinates, layer)
  const width = coordinates.width
  let error = 0
  let norm = 0
  for (let i = 0; i < rows; i += 1) {
    const row = new Float64Array(width)
    for (let k = 0; k < rank; k += 1) {
      const factor = (basis?.[i * rank + k] ?? 0) * (singularValues?.[k] ?? 0)
      for (let j = 0; j < width; j += 1) row[j] = (row[j] ?? 0) + factor * (v[k * width + j] ?? 0)
    }
    for (let j = 0; j < width; j += 1) {
      const truth = weights[i * width + j] ?? 0
      error += ((row[j] ?? 0) - truth) ** 2
      norm += truth ** 2
    }
  }
  return Math.sqrt(error / norm)
}
