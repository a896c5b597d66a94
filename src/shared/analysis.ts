import type { PredictorReport } from './jobs'

/** A curve that may have been thinned out: `y[i]` belongs to the 0-based direction `x[i]`. First and last are kept. */
export interface SampledCurve {
  readonly x: readonly number[]
  readonly y: readonly number[]
}

/** A layer of the grown model in every picture. */
export interface AnalysedLayer {
  /** In the grown model. */
  readonly index: number
  readonly isNew: boolean
  /** What to print beside its point: that of the plan. */
  readonly label: string
  /** The base layer that it is or copies; the left neighbour of a computed one. */
  readonly source: number
}

/** What there is to see of one weight type. */
export interface WeightTypeAnalysis {
  /** Directions of the shared basis; `null` where the method decomposes nothing. */
  readonly rank: number | null
  /** σ, descending; `null` where the method decomposes nothing. */
  readonly singularValues: SampledCurve | null
  /** Share of Σσ² that the first x + 1 directions hold, computed from all of them; `null` as above. */
  readonly energy: SampledCurve | null
  /** Whether {@link DirectionProjection} can be asked for. */
  readonly hasDirections: boolean
  /** Frobenius norm of each layer's matrix in the grown model; `null` where a layer has none. */
  readonly norms: readonly (number | null)[]
  /**
   * Cosine between layer i's matrix and layer i + 1's, both as one vector: one entry fewer than there are layers; `null`
   * where one of them has none.
   */
  readonly neighbourCosines: readonly (number | null)[]
  /** The predictor's error against the two yardsticks; `null` where there is none. */
  readonly predictor: PredictorReport | null
}

/** What the engine keeps of a run for its pictures (`analysis.json`). */
export interface RunAnalysis {
  readonly schema_version: 1
  readonly layers: readonly AnalysedLayer[]
  /** By weight type, in the architecture's order. */
  readonly types: Readonly<Record<string, WeightTypeAnalysis>>
}

/** What a run's `analysis.json` says; `null` when it is no such file, or a damaged one. */
export function parseAnalysis(text: string): RunAnalysis | null {
  try {
    const value = JSON.parse(text) as RunAnalysis
    const isLayer = ({ index, isNew, label, source }: AnalysedLayer): boolean =>
      Number.isInteger(index) &&
      Number.isInteger(source) &&
      typeof isNew === 'boolean' &&
      typeof label === 'string'
    const isType = ({ norms, neighbourCosines, singularValues, energy }: WeightTypeAnalysis) =>
      [norms, neighbourCosines].every(Array.isArray) &&
      [singularValues, energy].every((curve) => curve === null || isCurve(curve))
    const isWhole = value.layers.every(isLayer) && Object.values(value.types).every(isType)
    return isWhole ? value : null
  } catch {
    return null
  }
}

function isCurve({ x, y }: SampledCurve): boolean {
  return Array.isArray(x) && Array.isArray(y) && x.length === y.length
}

export const PROJECTIONS = ['pca', 'tsne'] as const
export type ProjectionMethod = (typeof PROJECTIONS)[number]

/**
 * Whether the layers' order shows in their top directions, measured in the full space, not in the picture: the mean
 * distance between neighbouring base layers, over the mean of all orders.
 */
export interface DirectionContinuity {
  readonly neighbourDistance: number
  readonly anyDistance: number
  /** Of 999 random orders of the layers, the share that is as smooth as the real one or smoother. */
  readonly p: number
  /**
   * `clear`: p ≤ 0.01 and neighbours at most 0.8 as far from each other as any two; `weak`: p ≤ 0.05; `none`: the
   * picture gives no support to the prediction.
   */
  readonly verdict: 'clear' | 'weak' | 'none'
}

/** The paper's picture for one weight type: every layer's `V_i[0]` as a point of the plane. */
export interface DirectionProjection {
  readonly type: string
  readonly method: ProjectionMethod
  /** In layer order of the grown model; join them in this order. Copies lie on their originals. */
  readonly points: readonly (AnalysedLayer & {
    readonly x: number
    readonly y: number
    /** True where the coordinates come from the predictor. */
    readonly isPredicted: boolean
  })[]
  /** Share of the variance along both axes; `null` for t-SNE, whose distances mean nothing across the picture. */
  readonly explained: readonly [number, number] | null
  readonly continuity: DirectionContinuity
  /**
   * Each predicted point in the full space: distance to the midpoint of its two neighbours over half their distance.
   * Near 0 it is their mean, at 1 as far from it as they are.
   */
  readonly predicted: readonly { readonly index: number; readonly offMidpoint: number }[]
}
