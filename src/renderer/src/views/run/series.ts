import type { Sample } from '../../charts/ema'

/** Points of a measurement, x ascending. */
export interface Curve {
  readonly x: readonly number[]
  readonly y: readonly Sample[]
}

/** By the series' name, such as `loss/q_proj`. */
export type Curves = Readonly<Record<string, Curve>>

/**
 * Adds the latest points of a running job to what is known. A series that has started again (its steps are lower than
 * those known) replaces the old one.
 */
export function appendLatest(known: Curves, latest: Curves): Curves {
  let next: Record<string, Curve> | null = null
  for (const [name, curve] of Object.entries(latest)) {
    const merged = appendCurve(known[name], curve)
    if (merged !== known[name]) next = { ...(next ?? known), [name]: merged }
  }
  return next ?? known
}

function appendCurve(known: Curve | undefined, latest: Curve): Curve {
  const last = known?.x.at(-1)
  const newest = latest.x.at(-1)
  if (!known || last === undefined) return latest
  if (newest === undefined || newest === last) return known
  if (newest < last) return latest
  const from = latest.x.findIndex((x) => x > last)
  return { x: [...known.x, ...latest.x.slice(from)], y: [...known.y, ...latest.y.slice(from)] }
}

/** Steps that a job's predictors have made so far, all weight types together. */
export function stepsDone(series: Curves): number {
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
