import { readRace } from '@shared/pretrainReading'
import type { TrainingResult } from '@shared/trainings'
import type { Race } from './race'

/** What a finished training shows and what it does not, in a sentence; empty while its curves are not there. */
export function readingOf(result: TrainingResult, race: Race): string {
  const named = new Map(race.racers.map((racer) => [racer.id, racer]))
  const starts = result.starts.flatMap((start) => {
    const racer = named.get(start.run)
    const [first, ...repeats] = racer?.seeds ?? []
    if (!racer || !first) return []
    const { name } = racer
    const reached = Object.entries(start.steps_to_reach).map(
      ([run, step]) => [named.get(run)?.name ?? run, step] as const,
    )
    return [{ ...start, ...first, name, repeats, steps_to_reach: Object.fromEntries(reached) }]
  })
  return starts.length < result.starts.length ? '' : readRace(starts, result.eval_tokens)
}
