/** @file A run's recorded series: every point, in the order of x, whatever attempts it took. */
import type { JobEvent } from '@shared/jobs'
import type { RunSeries } from '@shared/projects'
import { z } from 'zod'

type Metric = Extract<JobEvent, { type: 'metric' }>

const lineSchema = z
  .object({ s: z.string(), x: z.array(z.number()), y: z.array(z.number().nullable()) })
  .refine(({ x, y }) => x.length === y.length)

interface Series {
  readonly x: number[]
  readonly y: number[]
}

/** A metric as a line of the file. */
export function seriesLine({ series, x, y }: Metric): unknown {
  return { s: series, x, y }
}

/**
 * Puts the lines together. A run that went on after it was stopped trains a predictor anew: points that begin before the
 * last one replace those from there on.
 */
export function gatherSeries(lines: readonly unknown[]): Map<string, Series> {
  const all = new Map<string, Series>()
  for (const line of lines) {
    const parsed = lineSchema.safeParse(line)
    if (!parsed.success) continue
    const { s, x, y } = parsed.data
    const series = all.get(s) ?? { x: [], y: [] }
    all.set(s, series)
    const [first] = x
    const last = series.x.at(-1)
    if (first !== undefined && last !== undefined && first <= last) {
      const keep = series.x.findIndex((value) => value >= first)
      series.x.length = keep
      series.y.length = keep
    }
    for (const value of x) series.x.push(value)
    for (const value of y) series.y.push(value ?? NaN)
  }
  return all
}

/** At most `maxPoints` of each series: the lowest and the highest of each of equal stretches. */
export function thinSeries(all: ReadonlyMap<string, Series>, maxPoints: number): RunSeries {
  const entries = [...all].map(([name, { x, y }]) => [name, thin(x, y, maxPoints)] as const)
  return { series: Object.fromEntries(entries) }
}

function thin(
  x: readonly number[],
  y: readonly number[],
  maxPoints: number,
): RunSeries['series'][string] {
  if (x.length <= maxPoints) return { x, y, isSampled: false }
  const stretches = Math.floor(maxPoints / 2)
  const kept: number[] = []
  for (let stretch = 0; stretch < stretches; stretch += 1) {
    const from = Math.floor((stretch * x.length) / stretches)
    const to = Math.floor(((stretch + 1) * x.length) / stretches)
    let [low, high] = [from, from]
    for (let at = from + 1; at < to; at += 1) {
      if ((y[at] ?? NaN) < (y[low] ?? NaN)) low = at
      if ((y[at] ?? NaN) > (y[high] ?? NaN)) high = at
    }
    kept.push(Math.min(low, high))
    if (low !== high) kept.push(Math.max(low, high))
  }
  return {
    x: kept.map((at) => x[at] ?? NaN),
    y: kept.map((at) => y[at] ?? NaN),
    isSampled: true,
  }
}
