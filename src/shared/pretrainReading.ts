/** @file What a training, or a race of several starts, shows and what it does not, in one sentence. */
import { FEW_TOKENS } from './perplexity'
import { comparedCurve, valueAt, type PretrainedModel, type TrainingCurves } from './pretraining'
import { formatNumber } from './units'

/**
 * Last losses closer than this, in nats, are called equal after one seed: with three seeds each, our small models ended up
 * to 0.04 apart (standard deviation, 100 to 200 steps).
 */
export const EQUAL_NATS = 0.04

/** Shorter races rank warm-ups rather than starts: on our models the order still changed between 25 and 100 steps. */
export const FEW_STEPS = 50

/** What is read of a start: a `PretrainedModel`, or as much of one. `steps_to_reach` goes by the names that are read. */
export interface RaceStart
  extends
    Pick<PretrainedModel, 'name' | 'steps' | 'lr' | 'steps_to_reach'>,
    Pick<TrainingCurves, 'loss' | 'eval' | 'forgetting'> {
  readonly diverged: { readonly step: number } | null
  readonly repeats: readonly Pick<TrainingCurves, 'loss' | 'eval'>[]
  readonly trials: readonly { readonly lr: number }[]
}

/** Where the trainings of one start ended, over its seeds. */
export interface RaceEnd {
  /** Of the compared loss, in nats; the mean over the seeds. */
  readonly mean: number
  readonly low: number
  readonly high: number
  /** One for each seed, in the same order for every start. */
  readonly ends: readonly number[]
}

/** `null` where a training diverged, with any seed. */
export function raceEnd(model: RaceStart): RaceEnd | null {
  if (model.diverged !== null) return null
  const last = lastStep(model)
  const seeds = [model, ...model.repeats]
  const ends = seeds.map((curves) => comparedCurve(curves).at(-1)?.[1] ?? NaN)
  const isWhole = seeds.every((curves) => lastStep(curves) === last) && ends.every(Number.isFinite)
  if (!isWhole) return null
  const mean = ends.reduce((sum, end) => sum + end, 0) / ends.length
  return { mean, low: Math.min(...ends), high: Math.max(...ends), ends }
}

function lastStep({ loss }: Pick<TrainingCurves, 'loss'>): number {
  return loss.at(-1)?.[0] ?? 0
}

/**
 * Whether two ends differ by more than chance: of one seed, by {@link EQUAL_NATS}; of several, if every seed says the same
 * and the means are further apart than either's seeds are.
 */
export function endsDiffer(a: RaceEnd, b: RaceEnd): boolean {
  const apart = Math.abs(a.mean - b.mean)
  if (a.ends.length < 2) return apart > EQUAL_NATS
  const signs = new Set(a.ends.map((end, seed) => Math.sign(end - (b.ends[seed] ?? NaN))))
  return signs.size === 1 && apart > Math.max(a.high - a.low, b.high - b.low)
}

/**
 * What the results show and what they do not.
 *
 * @param evalTokens That the evaluation losses are means of; `null` where nothing was measured.
 */
export function readRace(results: readonly RaceStart[], evalTokens: number | null = null): string {
  const [only] = results
  if (only === undefined) return ''
  return results.length === 1 ? readOne(only, evalTokens) : readSeveral(results, evalTokens)
}

function readOne(model: RaceStart, evalTokens: number | null): string {
  const end = raceEnd(model)
  const start = comparedCurve(model)[0]?.[1]
  if (end === null || start === undefined) {
    return sentence([divergence(model), 'a lower rate may hold'])
  }
  const measured = isMeasured(model)
  const loss = measured ? 'evaluation loss' : 'training loss, smoothed,'
  const moved = `${model.name}'s ${loss} ${moves(start, end.mean)}`
  return sentence([
    `${moved} in ${model.steps} steps${seedsOf(end)}`,
    ...forgotten(model),
    ...(measured ? fewTokens(evalTokens) : [NOTHING_HELD_BACK]),
    'one start says nothing of others',
  ])
}

interface Racer {
  readonly model: RaceStart
  readonly end: RaceEnd
}

function readSeveral(results: readonly RaceStart[], evalTokens: number | null): string {
  const racers: Racer[] = []
  const lost: RaceStart[] = []
  for (const model of results) {
    const end = raceEnd(model)
    if (end === null) lost.push(model)
    else racers.push({ model, end })
  }
  racers.sort((a, b) => a.end.mean - b.end.mean)
  const [best, second] = racers
  if (best === undefined) {
    return sentence([...lost.map(divergence), 'no start can be compared', 'lower rates may hold'])
  }
  if (second === undefined) {
    return sentence([
      `Only ${best.model.name} reached the end, at ${nats(best.end.mean)}`,
      ...lost.map(divergence),
      'nothing is left to compare it with',
      'lower rates may hold',
    ])
  }
  return sentence([
    finding(racers),
    ...lost.map(divergence),
    ...leadChanged(racers),
    ...caveats(
      racers.map(({ model }) => model),
      evalTokens,
    ),
  ])
}

/** Who ended lowest, and how clearly. */
function finding(racers: readonly Racer[]): string {
  const [best, second] = racers
  if (!best || !second) return ''
  const level = racers.filter((racer) => racer === best || !endsDiffer(best.end, racer.end))
  const behind = racers.filter((racer) => !level.includes(racer))
  const steps = best.model.steps
  const within = isSeeded(best) ? "within the seeds' spread" : `within ${EQUAL_NATS}`
  if (behind.length === 0) {
    const range = `${nats(best.end.mean)} to ${nats(racers.at(-1)?.end.mean ?? NaN)}`
    const all = racers.length === 2 ? 'Both' : `All ${racers.length} starts`
    return `${all} end level after ${steps} steps (${range}, ${within})`
  }
  const next = behind[0]
  if (!next) return ''
  const gap = nats(next.end.mean - best.end.mean)
  if (level.length > 1) {
    const names = listed(level.map(({ model }) => model.name))
    return `${names} end level after ${steps} steps (${nats(best.end.mean)}, ${within}), ${gap} below ${next.model.name}`
  }
  const everySeed = isSeeded(best) ? ` with each of ${best.end.ends.length} seeds` : ''
  return `${best.model.name} ends lowest after ${steps} steps (${nats(best.end.mean)}), ${gap} below ${next.model.name}${everySeed}${reached(best, next)}`
}

/** The paper's measure: when the winner had what the next one ended with. */
function reached(best: Racer, next: Racer): string {
  const at = best.model.steps_to_reach[next.model.name]
  if (at === null || at === undefined) return ''
  const share = at / next.model.steps
  return `, and had ${next.model.name}'s last loss after ${Math.round(at)} steps (${share.toFixed(2)} of them)`
}

/** Whether another start was clearly ahead halfway. */
function leadChanged(racers: readonly Racer[]): string[] {
  const [best] = racers
  if (!best) return []
  const halfway = ({ model }: Racer): number =>
    valueAt(comparedCurve(model), model.steps / 2) ?? NaN
  const [leader] = [...racers].sort((a, b) => halfway(a) - halfway(b))
  if (!leader || leader === best || halfway(best) - halfway(leader) <= EQUAL_NATS) return []
  return [`halfway ${leader.model.name} led, so more steps may change the order again`]
}

function caveats(models: readonly RaceStart[], evalTokens: number | null): string[] {
  const [first] = models
  if (!first) return []
  const steps = Math.min(...models.map((model) => model.steps))
  const seeds = 1 + first.repeats.length
  return [
    ...(models.every(isMeasured) ? fewTokens(evalTokens) : [NOTHING_HELD_BACK]),
    ...(steps < FEW_STEPS ? [`${steps} steps are too few to tell which start trains best`] : []),
    seeds === 1
      ? `one seed, after which differences up to ${EQUAL_NATS} may be chance`
      : `${seeds} seeds, which is few`,
    rates(models),
  ]
}

/** Under which rates the starts were compared. */
function rates(models: readonly RaceStart[]): string {
  const tried = models.flatMap((model) => (model.trials.length > 1 ? [model] : []))
  if (tried.length === 0) {
    const all = new Set(models.map(({ lr }) => lr))
    const [rate = NaN] = all
    return all.size === 1
      ? `all at the rate ${formatNumber(rate)}, which may suit one start better than another`
      : `at different rates (${models.map(({ name, lr }) => `${name} ${formatNumber(lr)}`).join(', ')}), which differ in effect as starts do`
  }
  const edge = tried.filter(({ lr, trials }) => {
    const lrs = trials.map((trial) => trial.lr)
    return lr === Math.min(...lrs) || lr === Math.max(...lrs)
  })
  const most = Math.max(...tried.map(({ trials }) => trials.length))
  const own = `each at its own best of ${most} rates in short trials`
  const [model] = edge
  if (!model) return own
  const which = model.lr === Math.max(...model.trials.map(({ lr }) => lr)) ? 'highest' : 'lowest'
  return edge.length === 1
    ? `${own}, ${model.name}'s being the ${which} that was tried`
    : `${own}, which for ${listed(edge.map(({ name }) => name))} lies at the end of what was tried`
}

const NOTHING_HELD_BACK = 'nothing was held back to measure on'

function fewTokens(evalTokens: number | null): string[] {
  if (evalTokens === null || evalTokens >= FEW_TOKENS) return []
  return [`${evalTokens} tokens are too few to measure on`]
}

function forgotten({ forgetting }: RaceStart): string[] {
  const [first, last] = [forgetting[0]?.[1], forgetting.at(-1)?.[1]]
  if (first === undefined || last === undefined || forgetting.length < 2) return []
  return [`on the other text it ${moves(first, last)}`]
}

function moves(first: number, last: number): string {
  const [before, after] = [nats(first), nats(last)]
  if (before === after) return `stayed at ${after}`
  return `${last > first ? 'rose' : 'fell'} from ${before} to ${after}`
}

function divergence({ name, lr, diverged, repeats }: RaceStart): string {
  const where = diverged
    ? ` at step ${diverged.step}`
    : repeats.length > 0
      ? ' with one of its seeds'
      : ''
  return `${name} diverged${where} at the rate ${formatNumber(lr)}`
}

function seedsOf({ ends, low, high }: RaceEnd): string {
  return ends.length < 2
    ? ''
    : ` (${ends.length} seeds, which end between ${nats(low)} and ${nats(high)})`
}

function isSeeded({ end }: Racer): boolean {
  return end.ends.length > 1
}

function isMeasured(model: RaceStart): boolean {
  return model.eval.length > 1
}

function nats(value: number): string {
  return value.toFixed(3)
}

function listed(parts: readonly string[]): string {
  return parts.length < 2
    ? (parts[0] ?? '')
    : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`
}

function sentence(clauses: readonly string[]): string {
  return `${clauses.join('; ')}.`
}
