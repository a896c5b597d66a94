/** @file What a weight type's decomposition leaves for the pictures: its spectrum, and each layer's `V_i[0]`. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpansionPlan } from '@shared/plan'
import type { Series } from './series'
import type { Decomposition } from './decomposition/decompose'
import { bytesOf, floatsOf } from '../lib/matrix'

/** Every layer of the grown model, `[layers, width]`, float32, little-endian. */
const DIRECTIONS_FILE = 'directions.f32'
/** σ, descending, float32, little-endian. */
const SPECTRUM_FILE = 'spectrum.f32'

/** The data of a weight type's pictures. */
export interface Directions {
  readonly singularValues: Float32Array
  /** `[layers of the grown model, width]`. */
  readonly directions: Float32Array
}

/**
 * Coordinates of a matrix `[rows, width]` along the top direction of the basis, `σ₀⁻¹ u₀ᵀ W`; empty where there is no
 * basis, or a model of zeros has no direction.
 */
export function topDirection(decomposition: Decomposition, weights: Float32Array): Float32Array {
  const { basis, singularValues, rows, rank, coordinates } = decomposition
  const sigma = singularValues?.[0] ?? 0
  if (!basis || sigma === 0) return new Float32Array(0)
  const { width } = coordinates
  const sums = new Float64Array(width)
  for (let row = 0; row < rows; row += 1) {
    const factor = basis[row * rank]! / sigma
    for (let column = 0; column < width; column += 1) {
      sums[column]! += factor * weights[row * width + column]!
    }
  }
  return Float32Array.from(sums)
}

/** Keeps them in a stage's folder, zeros for layers of another type; nothing without a basis. */
export async function saveDirections(
  folder: string,
  { singularValues, coordinates }: Decomposition,
  { plan, series }: { readonly plan: ExpansionPlan; readonly series: Series },
  predicted: ReadonlyMap<number, Float32Array>,
): Promise<void> {
  if (!singularValues) return
  const { width } = coordinates
  const directions = new Float32Array(plan.layers.length * width)
  plan.layers.forEach(({ source }, index) => {
    const own = predicted.get(index)
    const place = series.layers.indexOf(source)
    if (own) directions.set(own, index * width)
    else if (place !== -1) coordinates.copyRows(place, 0, 1, directions, index * width)
  })
  await writeFloats(join(folder, DIRECTIONS_FILE), directions)
  await writeFloats(join(folder, SPECTRUM_FILE), singularValues)
}

/** What {@link saveDirections} kept, or `null`. */
export async function loadDirections(folder: string): Promise<Directions | null> {
  const [directions, singularValues] = await Promise.all([
    readFloats(join(folder, DIRECTIONS_FILE)),
    readFloats(join(folder, SPECTRUM_FILE)),
  ])
  return directions && singularValues ? { directions, singularValues } : null
}

export async function writeFloats(file: string, values: Float32Array): Promise<void> {
  await writeFile(file, bytesOf(values))
}

/** `null` when there is no such file. */
export async function readFloats(file: string): Promise<Float32Array | null> {
  const bytes = await readFile(file).catch(() => null)
  if (!bytes || bytes.byteLength % Float32Array.BYTES_PER_ELEMENT !== 0) return null
  return floatsOf(bytes)
}
