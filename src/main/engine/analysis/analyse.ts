/** @file The record that a run leaves for its pictures: `analysis.json`, the top directions, the trained predictors. */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { AnalysedLayer, RunAnalysis, SampledCurve, WeightTypeAnalysis } from '@shared/analysis'
import type { ExpandResult, JobEvent } from '@shared/jobs'
import type { ExpansionPlan } from '@shared/plan'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { writeRecord } from '@system/files'
import { StackedMatrix } from '../lesa/StackedMatrix'
import type { Work } from '../lib/work'
import { loadDirections, writeFloats, type Directions } from '../lesa/directions'

export const ANALYSIS_STEP = { id: 'analyse', label: 'analyse layers' } as const

/** The written checkpoint is read once more. */
export const analysisWork = (bytes: number): Work => ({ converted: bytes })

/** Points that are kept of a curve: more than a chart is wide, in the half where it is steep. */
const CURVE_POINTS = 400

/** Names within a run's record folder. */
export const recordFiles = {
  analysis: (folder: string): string => join(folder, 'analysis.json'),
  directions: (folder: string, type: string): string => join(folder, 'directions', `${type}.f32`),
  predictor: (folder: string, type: string): string =>
    join(folder, 'predictors', `predictor-${type}.safetensors`),
}

/** Each decomposed type's spectrum and directions. */
export type Pictures = ReadonlyMap<string, Directions>

interface FinishedType {
  readonly type: string
  /** The stage's folder. */
  readonly folder: string
}

/** Copies what the stages leave for the record: predictors and directions. Returns the latter. */
export async function recordStages(
  types: readonly FinishedType[],
  recordDir: string,
): Promise<Pictures> {
  const pictures = new Map<string, Directions>()
  if (types.length === 0) return pictures
  await mkdir(join(recordDir, 'predictors'), { recursive: true })
  await mkdir(join(recordDir, 'directions'), { recursive: true })
  for (const { type, folder } of types) {
    await copyFile(join(folder, 'predictor.safetensors'), recordFiles.predictor(recordDir, type))
    const found = await loadDirections(folder)
    if (!found) continue
    pictures.set(type, found)
    await writeFloats(recordFiles.directions(recordDir, type), found.directions)
  }
  return pictures
}

export interface Analysis {
  readonly plan: ExpansionPlan
  readonly result: ExpandResult
  readonly pictures: Pictures
  readonly signal: AbortSignal
  readonly recordDir: string
}

/** Measures the written checkpoint, two matrices in memory at a time, and writes `analysis.json`. */
export async function* analyseGrown({
  plan,
  result,
  pictures,
  signal,
  recordDir,
}: Analysis): AsyncGenerator<JobEvent, void> {
  const checkpoint = await Checkpoint.open(result.out)
  try {
    const types: Record<string, WeightTypeAnalysis> = {}
    for (const [slot, measured] of yield* measureTypes(checkpoint, plan.layers.length, signal)) {
      for (const type of typesOf(slot, result)) {
        const picture = pictures.get(type)
        types[type] = {
          rank: picture?.singularValues.length ?? null,
          singularValues: picture ? sample(picture.singularValues) : null,
          energy: picture ? sample(energyOf(picture.singularValues)) : null,
          hasDirections: picture !== undefined,
          ...measured,
          predictor: result.predictors.find(({ weightType }) => weightType === type) ?? null,
        }
      }
    }
    const analysis: RunAnalysis = {
      schema_version: 1,
      layers: layersOf(plan),
      types,
    }
    await writeRecord(recordFiles.analysis(recordDir), analysis)
  } finally {
    await checkpoint.close()
  }
}

/** The names by which a slot was predicted: more than one where layers are of several types. */
function typesOf(slot: string, { predictors }: ExpandResult): readonly string[] {
  const own = predictors
    .map(({ weightType }) => weightType)
    .filter((type) => type === slot || type.startsWith(`${slot}.`))
  return own.length > 0 ? own : [slot]
}

/**
 * Norms and resemblances of each slot's matrices, two of them in memory at a time; the experts of a layer count as one
 * matrix. Of a layer without the slot there are none.
 */
export async function* measureTypes(
  checkpoint: Checkpoint,
  layers: number,
  signal: AbortSignal,
): AsyncGenerator<
  JobEvent,
  ReadonlyMap<string, Pick<WeightTypeAnalysis, 'norms' | 'neighbourCosines'>>
> {
  const sources = checkpoint.weightTypes.map((type) => new StackedMatrix(checkpoint, type))
  const total = sources.reduce((sum, { layerCount }) => sum + layerCount, 0)
  let done = 0
  const measured = new Map<string, Pick<WeightTypeAnalysis, 'norms' | 'neighbourCosines'>>()
  for (const source of sources) {
    const { series, chains } = source
    const measure = new NeighbourMeasure(layers)
    for (let chain = 0; chain < chains; chain += 1) {
      for (const [place, layer] of series.layers.entries()) {
        signal.throwIfAborted()
        measure.add(layer, await source.read(chain * series.layers.length + place))
        done += 1
        yield { type: 'step', id: ANALYSIS_STEP.id, done, total }
      }
    }
    measured.set(series.slot, { norms: measure.norms, neighbourCosines: measure.cosines })
  }
  return measured
}

/** Norms of the layers' matrices and the cosines between one layer's and the next one's. Sums are float64. */
export class NeighbourMeasure {
  readonly #squares: Float64Array
  /** Whether a layer has any matrix. */
  readonly #isThere: boolean[]
  /** Of each layer with the next one. */
  readonly #products: Float64Array
  #previous: { readonly layer: number; readonly weights: Float32Array } | null = null

  constructor(layers: number) {
    this.#squares = new Float64Array(layers)
    this.#isThere = Array<boolean>(layers).fill(false)
    this.#products = new Float64Array(Math.max(0, layers - 1))
  }

  /**
   * Adds a matrix of a layer, or one of its parts; a part is compared with the one that was added before it, if that is of
   * the layer before.
   *
   * @param weights May be reused by the caller afterwards. Entries that are not finite count as zero.
   */
  add(layer: number, weights: Float32Array): void {
    let square = 0
    for (const value of weights) square += value * value
    // Squares of finite float32 values cannot overflow float64.
    if (!Number.isFinite(square)) {
      this.add(
        layer,
        weights.map((value) => (Number.isFinite(value) ? value : 0)),
      )
      return
    }
    this.#squares[layer]! += square
    this.#isThere[layer] = true
    const before = this.#previous
    if (before?.layer === layer - 1) {
      let product = 0
      for (let i = 0; i < weights.length; i += 1) product += weights[i]! * before.weights[i]!
      this.#products[layer - 1]! += product
    }
    const kept = before?.weights ?? new Float32Array(weights.length)
    kept.set(weights)
    this.#previous = { layer, weights: kept }
  }

  /** `null` where a layer has none. */
  get norms(): (number | null)[] {
    return this.#isThere.map((isThere, layer) =>
      isThere ? Math.sqrt(this.#squares[layer]!) : null,
    )
  }

  /**
   * `null` where one of the two layers has no matrix. One of zeros (LLaMA Pro's output projections) has no direction: it
   * resembles nothing.
   */
  get cosines(): (number | null)[] {
    return Array.from(this.#products, (product, layer) => {
      if (!this.#isThere[layer] || !this.#isThere[layer + 1]) return null
      const norms = Math.sqrt(this.#squares[layer]!) * Math.sqrt(this.#squares[layer + 1]!)
      return norms > 0 ? product / norms : 0
    })
  }
}

/** The layers of the grown model as the pictures name them. */
export function layersOf(plan: ExpansionPlan): AnalysedLayer[] {
  return plan.layers.map(({ kind, source, label }, index) => ({
    index,
    isNew: kind !== 'original',
    source,
    label,
  }))
}

/** Share of Σσ² in the first k + 1 directions, for every k. */
export function energyOf(singularValues: Float32Array): Float64Array {
  const shares = new Float64Array(singularValues.length)
  let sum = 0
  singularValues.forEach((sigma, k) => {
    sum += sigma * sigma
    shares[k] = sum
  })
  return sum > 0 ? shares.map((value) => value / sum) : shares
}

/** Thins a curve out: denser at its start, where spectra fall steeply; first and last points stay. */
export function sample(values: Float32Array | Float64Array): SampledCurve {
  const { length } = values
  const x = new Set<number>()
  if (length <= CURVE_POINTS) for (let i = 0; i < length; i += 1) x.add(i)
  else {
    for (let point = 0; point < CURVE_POINTS; point += 1) {
      const share = point / (CURVE_POINTS - 1)
      // Half way between even steps and steps that grow like a power.
      x.add(Math.round((length - 1) * (share + share ** 3) * 0.5))
    }
  }
  const places = [...x].sort((a, b) => a - b)
  return { x: places, y: places.map((place) => values[place]!) }
}
