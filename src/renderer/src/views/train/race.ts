import {
  BASE_NAME,
  comparedCurve,
  curveSeries,
  smoothed,
  STEP_TOKENS_SERIES,
  stepsToReach,
  type Curve,
  type CurveKind,
  type TrainingCurves,
} from '@shared/pretraining'
import { styleOf, type SeriesStyle } from '../../charts/marks'
import type { RaceLine } from '../../charts/types'
import type { Curves } from '../../lib/curves'

/** What charts and tables know of one training of one model. */
export type SeedCurves = Pick<TrainingCurves, 'loss' | 'eval' | 'forgetting' | 'elapsed'>

/** A start, with one training for each seed. */
export interface Racer {
  /** As its series are called: the run. */
  readonly id: string
  readonly name: string
  readonly style: SeriesStyle
  /** What methods are compared with, and no method itself. */
  readonly isControl: boolean
  /** The first seed's first; none before anything is known. */
  readonly seeds: readonly SeedCurves[]
}

export interface Race {
  readonly racers: readonly Racer[]
  /** The base's losses on the same texts. */
  readonly base: { readonly eval: number | null; readonly forgetting: number | null }
  /** Of an optimiser step; `null` before the first. */
  readonly tokensPerStep: number | null
}

/** What a curve runs along. */
export const RACE_AXES = ['steps', 'tokens', 'time'] as const
export type RaceAxis = (typeof RACE_AXES)[number]

/** Which of the losses are drawn. */
export const RACE_VIEWS = ['both', 'eval', 'loss'] as const
export type RaceView = (typeof RACE_VIEWS)[number]

/** The recorded series as a race between these starts. */
export function raceOf(
  series: Curves,
  starts: readonly { readonly id: string; readonly name: string; readonly isControl?: boolean }[],
): Race {
  const ids = starts.map(({ id }) => id)
  /** Two runs may be called the same. */
  const nameOf = (id: string, name: string): string =>
    starts.some((other) => other.id !== id && other.name === name) ? `${name} (${id})` : name
  const base = (kind: CurveKind): number | null =>
    series[curveSeries(kind, BASE_NAME)]?.y[0] ?? null
  return {
    racers: starts.map(({ id, name, isControl = false }) => ({
      id,
      name: nameOf(id, name),
      style: styleOf(id, ids),
      isControl,
      seeds: seedsOf(series, id),
    })),
    base: { eval: base('eval'), forgetting: base('forgetting') },
    tokensPerStep: series[STEP_TOKENS_SERIES]?.y[0] ?? null,
  }
}

function seedsOf(series: Curves, id: string): SeedCurves[] {
  const seeds: SeedCurves[] = []
  for (;;) {
    const curve = (kind: CurveKind): Curve => {
      const { x, y } = series[curveSeries(kind, id, seeds.length)] ?? { x: [], y: [] }
      return x.flatMap((at, index) => {
        const value = y[index] ?? null
        return value === null || !Number.isFinite(value) ? [] : [[at, value] as const]
      })
    }
    const seed = {
      loss: curve('loss'),
      eval: curve('eval'),
      forgetting: curve('forgetting'),
      elapsed: curve('elapsed'),
    }
    if (seed.loss.length + seed.eval.length + seed.forgetting.length === 0) return seeds
    seeds.push(seed)
  }
}

/**
 * Seconds of training that lie behind at a step: along a line between the evaluations that tell them, at the pace so far
 * after the last; `null` while none has told.
 */
export function secondsAt(elapsed: Curve, step: number): number | null {
  const after = elapsed.findIndex(([at]) => at >= step)
  const [toStep, toSeconds] = elapsed[after < 0 ? elapsed.length - 1 : after] ?? [0, 0]
  if (toStep === step) return elapsed.length === 0 ? null : toSeconds
  if (toStep === 0) return null
  const [fromStep, fromSeconds] = after > 0 ? (elapsed[after - 1] ?? [0, 0]) : [0, 0]
  return fromSeconds + ((toSeconds - fromSeconds) * (step - fromStep)) / (toStep - fromStep)
}

/** Where a step of a training is on an axis, in steps, tokens or seconds; `null` where that is not known. */
function placeOf(
  step: number,
  axis: RaceAxis,
  { elapsed }: SeedCurves,
  tokensPerStep: number | null,
): number | null {
  if (axis === 'steps') return step
  if (axis === 'tokens') return tokensPerStep === null ? null : step * tokensPerStep
  return secondsAt(elapsed, step)
}

/** Several seeds' curves of one kind: their mean, and how far they lie apart, at the steps that all of them have. */
export function spreadOf(curves: readonly Curve[]): {
  readonly mean: Curve
  readonly low: readonly number[]
  readonly high: readonly number[]
} {
  const [first = [], ...others] = curves
  const known = others.map((curve) => new Map(curve))
  const rows = first.flatMap(([step, value]) => {
    const values = [value, ...known.flatMap((curve) => curve.get(step) ?? [])]
    return values.length === curves.length ? [{ step, values }] : []
  })
  return {
    mean: rows.map(
      ({ step, values }) =>
        [step, values.reduce((sum, one) => sum + one, 0) / values.length] as const,
    ),
    low: rows.map(({ values }) => Math.min(...values)),
    high: rows.map(({ values }) => Math.max(...values)),
  }
}

/** Of a long curve, how many of its points a smoothed point is about the mean of. */
export function smoothingOver(points: number): number {
  return Math.max(10, Math.round(points / 40))
}

/** A start's lines, as far as there is anything to draw. */
export function raceLines(
  race: Race,
  kind: 'loss' | 'forgetting',
  axis: RaceAxis,
  view: RaceView = 'both',
): RaceLine[] {
  return race.racers.flatMap((racer): RaceLine[] => {
    const [first] = racer.seeds
    if (!first) return []
    const along = (curve: Curve): RaceLine['main'] => {
      const points = curve.flatMap(([step, value]) => {
        const at = placeOf(step, axis, first, race.tokensPerStep)
        return at === null ? [] : [[at, value] as const]
      })
      return { x: points.map(([x]) => x), y: points.map(([, y]) => y) }
    }
    const spread = (all: readonly Curve[]): Pick<RaceLine, 'main' | 'band'> => {
      // A seed that is still under way would cut the others short.
      const of = all.filter((curve) => curve.length >= (all[0]?.length ?? 0))
      const { mean, low, high } = spreadOf(of)
      const main = along(mean)
      return main.x.length === low.length && of.length > 1
        ? { main, band: { x: main.x, low, high } }
        : { main }
    }
    const { id, name: label, style } = racer
    const isForgetting = kind === 'forgetting'
    const measured = racer.seeds.map((seed) => (isForgetting ? seed.forgetting : seed.eval))
    const isMeasured = (measured[0]?.length ?? 0) > 0
    if (isForgetting || view === 'eval') {
      return isMeasured ? [{ id, label, style, isMarked: true, ...spread(measured) }] : []
    }
    const losses = racer.seeds.map(({ loss }) => smoothed(loss, smoothingOver(loss.length)))
    const faint = along(first.loss)
    // Without a measurement the smoothed loss is what is compared.
    if (view === 'loss' || !isMeasured) {
      return first.loss.length === 0
        ? []
        : [{ id, label, style, isMarked: false, faint, ...spread(losses) }]
    }
    return [
      {
        id,
        label,
        style,
        isMarked: true,
        ...spread(measured),
        thin: along(losses[0] ?? []),
        faint,
      },
    ]
  })
}

/** What it took a start to come to a loss; `null` for what it did not. */
export interface Reached {
  readonly id: string
  readonly name: string
  /** The loss that it ends with itself. */
  readonly ends: number | null
  readonly steps: number | null
  readonly tokens: number | null
  readonly seconds: number | null
  /** Its steps over those of the start whose loss it is. */
  readonly ratio: number | null
  /** The same with each seed, from the fewest to the most steps, where there are several; `null` where one did not. */
  readonly spread: readonly [fewest: number, most: number | null] | null
}

/** What it took every start to come to the loss that one of them ends with; each seed is compared with the same one's. */
export function reachedBy(race: Race, target: string): readonly Reached[] {
  const goal = race.racers.find(({ id }) => id === target)
  const goals = (goal?.seeds ?? []).map((seed) => endOf(seed))
  const own = goal?.seeds[0] ? stepsTo(goal.seeds[0], goals[0] ?? null) : null
  return race.racers.map(({ id, name, seeds }) => {
    const all = seeds.map((seed, index) => stepsTo(seed, goals[index] ?? goals[0] ?? null))
    const [steps = null] = all
    const [first] = seeds
    const done = all.filter((one) => one !== null)
    return {
      id,
      name,
      ends: first ? endOf(first) : null,
      steps,
      tokens: steps === null || race.tokensPerStep === null ? null : steps * race.tokensPerStep,
      seconds: steps === null || !first ? null : secondsAt(first.elapsed, steps),
      ratio: steps === null || own === null || own === 0 ? null : steps / own,
      spread:
        all.length > 1 && done.length > 0
          ? [Math.min(...done), done.length < all.length ? null : Math.max(...done)]
          : null,
    }
  })
}

function stepsTo(seed: SeedCurves, goal: number | null): number | null {
  return goal === null ? null : stepsToReach(comparedCurve(seed), goal)
}

/** The loss that a training ends with, or has come to. */
export function endOf(seed: SeedCurves): number | null {
  return comparedCurve(seed).at(-1)?.[1] ?? null
}

/** Whose loss the others are asked for at first: of the methods that have one, or else of the controls, the highest. */
export function usualTarget(race: Race): string | null {
  const all = race.racers.flatMap(({ id, isControl, seeds }) => {
    const end = seeds[0] ? endOf(seeds[0]) : null
    return end === null ? [] : [{ id, isControl, end }]
  })
  const methods = all.filter(({ isControl }) => !isControl)
  const ends = methods.length > 0 ? methods : all
  return (
    ends.reduce<(typeof ends)[number] | null>(
      (worst, one) => (worst && worst.end >= one.end ? worst : one),
      null,
    )?.id ?? null
  )
}
