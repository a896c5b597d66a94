/** @file A run's recorded series: every point, in the order of x, whatever attempts it took. */
import { extendSeries, thin, type JobEvent, type OpenSeries, type Points } from '@shared/jobs'
import type { RunSeries } from '@shared/projects'
import { z } from 'zod'

type Metric = Extract<JobEvent, { type: 'metric' }>

const lineSchema = z
  .object({ s: z.string(), x: z.array(z.number()), y: z.array(z.number().nullable()) })
  .refine(({ x, y }) => x.length === y.length)

/** A metric as a line of the file. */
export function seriesLine({ series, x, y }: Metric): unknown {
  return { s: series, x, y }
}

/** Puts the lines together: a run that went on after it was stopped trains a predictor anew. */
export function gatherSeries(lines: readonly unknown[]): Map<string, Points> {
  const all = new Map<string, OpenSeries<number>>()
  for (const line of lines) {
    const parsed = lineSchema.safeParse(line)
    if (!parsed.success) continue
    const { s, x, y } = parsed.data
    const series = all.get(s) ?? { x: [], y: [] }
    all.set(s, series)
    extendSeries(series, { x, y: y.map((value) => value ?? NaN) })
  }
  return all
}

/** At most `maxPoints` of each series: the lowest and the highest of each of equal stretches. */
export function thinSeries(all: ReadonlyMap<string, Points>, maxPoints: number): RunSeries {
  const entries = [...all].map(([name, points]) => {
    const isSampled = points.x.length > maxPoints
    return [name, { ...thin(points, maxPoints), isSampled }] as const
  })
  return { series: Object.fromEntries(entries) }
}
