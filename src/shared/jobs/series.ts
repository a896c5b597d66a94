/** Points of a measurement; x ascends. Over JSON a NaN arrives as `null`. */
export interface Points<Y = number> {
  readonly x: readonly number[]
  readonly y: readonly Y[]
}

/** Series by their names, such as `loss/q_proj`. */
export type SeriesMap<Y = number> = Readonly<Record<string, Points<Y>>>

/** Points that are being gathered. */
export interface OpenSeries<Y> {
  x: number[]
  y: Y[]
}

/**
 * Appends points in place. A point that is not beyond the last one starts the series again: it replaces all from there
 * on, as a run does that trains a predictor anew after it was stopped.
 *
 * @param maxPoints More than these are thinned to half of them; the newest point always stays.
 */
export function extendSeries<Y extends number | null>(
  series: OpenSeries<Y>,
  { x, y }: Points<Y>,
  maxPoints = Infinity,
): void {
  for (const [index, at] of x.entries()) {
    const value = y[index]
    if (value === undefined) return
    const last = series.x.at(-1)
    if (last !== undefined && at <= last) {
      series.x.length = series.x.findIndex((known) => known >= at)
      series.y.length = series.x.length
    }
    if (series.x.length >= maxPoints) {
      const thinned = thin(series, Math.floor(maxPoints / 2))
      series.x = [...thinned.x]
      series.y = [...thinned.y]
    }
    series.x.push(at)
    series.y.push(value)
  }
}

/** Adds points to one series of several; the others, and what was given, stay as they are. */
export function addPoints<Y extends number | null>(
  all: SeriesMap<Y>,
  name: string,
  points: Points<Y>,
  maxPoints: number,
): SeriesMap<Y> {
  const known = Object.hasOwn(all, name) ? all[name] : undefined
  const series = { x: [...(known?.x ?? [])], y: [...(known?.y ?? [])] }
  extendSeries(series, points, maxPoints)
  return { ...all, [name]: series }
}

/** At most `maxPoints`: the lowest and the highest of each of equal stretches of x. */
export function thin<Y extends number | null>(series: Points<Y>, maxPoints: number): Points<Y> {
  const { x, y } = series
  if (x.length <= maxPoints) return series
  const stretches = Math.floor(maxPoints / 2)
  const [first = 0] = x
  const width = ((x.at(-1) ?? 0) - first) / stretches
  const kept = new Set<number>()
  let [stretch, low, high] = [0, 0, 0]
  for (const [at, place] of x.entries()) {
    const number = Math.min(stretches - 1, Math.floor((place - first) / width))
    if (number > stretch) {
      kept.add(low).add(high)
      ;[stretch, low, high] = [number, at, at]
      continue
    }
    const [value, lowest, highest] = [y[at] ?? NaN, y[low] ?? NaN, y[high] ?? NaN]
    if (value < lowest || Number.isNaN(lowest)) low = at
    if (value > highest || Number.isNaN(highest)) high = at
  }
  kept.add(low).add(high)
  return { x: x.filter((_, at) => kept.has(at)), y: y.filter((_, at) => kept.has(at)) }
}
