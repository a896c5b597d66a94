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
    for (const [type, measured] of yield* measureTypes(checkpoint, plan.layers.length, signal)) {
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

/** Norms and resemblances of each weight type's matrices, two of them in memory at a time. */
export async function* measureTypes(
  checkpoint: Checkpoint,
  layers: number,
  signal: AbortSignal,
): AsyncGenerator<
  JobEvent,
  ReadonlyMap<string, Pick<WeightTypeAnalysis, 'norms' | 'neighbourCosines'>>
> {
  const total = checkpoint.weightTypes.length * layers
  let done = 0
  const measured = new Map<string, Pick<WeightTypeAnalysis, 'norms' | 'neighbourCosines'>>()
  for (const type of checkpoint.weightTypes) {
    const measure = new NeighbourMeasure()
    const source = new StackedMatrix(checkpoint, type)
    for (let layer = 0; layer < layers; layer += 1) {
      signal.throwIfAborted()
      measure.add(await source.read(layer))
      done += 1
      yield { type: 'step', id: ANALYSIS_STEP.id, done, total }
    }
    measured.set(type, { norms: measure.norms, neighbourCosines: measure.cosines })
  }
  return measured
}

/** Norms of a sequence of matrices and the cosines between one and the next. Sums are float64. */
export class NeighbourMeasure {
  readonly norms: number[] = []
  readonly cosines: number[] = []
  #previous: Float32Array | null = null

  /** @param weights May be reused by the caller afterwards. Entries that are not finite count as zero. */
  add(weights: Float32Array): void {
    let square = 0
    for (const value of weights) square += value * value
    // Squares of finite float32 values cannot overflow float64.
    if (!Number.isFinite(square)) {
      this.add(weights.map((value) => (Number.isFinite(value) ? value : 0)))
      return
    }
    const before = this.#previous
    let product = 0
    if (before) {
      for (let i = 0; i < weights.length; i += 1) product += weights[i]! * before[i]!
      before.set(weights)
    } else this.#previous = weights.slice()
    const norm = Math.sqrt(square)
    const left = this.norms.at(-1)
    // A matrix of zeros (LLaMA Pro's output projections) has no direction: it resembles nothing.
    if (left !== undefined) this.cosines.push(left * norm > 0 ? product / (left * norm) : 0)
    this.norms.push(norm)
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
