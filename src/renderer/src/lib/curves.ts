import type { SeriesMap } from '@shared/jobs'

/** By the series' name, such as `loss/q_proj`; over JSON a NaN arrives as `null`. */
export type Curves = SeriesMap<number | null>

/** Steps that a job's predictors have made so far, all weight types together. */
export function stepsDone(series: SeriesMap): number {
  return Object.entries(series).reduce(
    (sum, [name, { x }]) => sum + (name.startsWith('loss/') ? (x.at(-1) ?? 0) : 0),
    0,
  )
}

/** A count at a time, for a rate. */
export interface RatePoint {
  readonly at: number
  readonly count: number
}

/** The window over which a rate is taken. */
export const RATE_WINDOW_MS = 8_000

export function addRatePoint(points: readonly RatePoint[], point: RatePoint): RatePoint[] {
  const recent = points.filter(({ at }) => point.at - at <= RATE_WINDOW_MS)
  return [...recent, point]
}

/** Per second; `null` while there is too little to tell. */
export function rateOf(points: readonly RatePoint[]): number | null {
  const [first, last] = [points[0], points.at(-1)]
  if (!first || !last || last.at - first.at < 500 || last.count < first.count) return null
  return ((last.count - first.count) * 1000) / (last.at - first.at)
}
