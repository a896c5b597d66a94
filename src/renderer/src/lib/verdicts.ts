import {
  pairedDifference,
  verdict,
  type PairedDifference,
  type Verdict,
  type VerdictSubject,
} from '@shared/verdict'
import type { CompareRow, Comparison, Perplexity } from '@shared/projects'
import { measurementKey, type Measurement } from './measurements'

/** What was measured of a row in this way; `null` when it was not. */
export function perplexityOf(row: CompareRow, measurement: Measurement): Perplexity | null {
  const key = measurementKey(measurement)
  return row.perplexities.find((one) => measurementKey(one) === key) ?? null
}

/** What one measurement says of rows; `null` as long as fewer than two of them were measured so. */
export function verdictOf(
  rows: readonly CompareRow[],
  measurement: Measurement,
  vocabularySize: Comparison['vocabularySize'],
): Verdict | null {
  const groups = groupsOf(rows)
  const subjects = rows.flatMap((row): VerdictSubject[] => {
    const found = perplexityOf(row, measurement)
    if (!found) return []
    const group = groups.get(row.subject)
    return [
      {
        name: row.name,
        method: row.method,
        isBase: row.subject === 'base',
        ...(group === undefined ? {} : { group }),
        layers: row.layers,
        losses: found.losses,
        perplexity: found.perplexity,
        tokens: found.predicted,
        training: trainingOf(row),
        againstBase: found.againstBase,
      },
    ]
  })
  return subjects.length < 2
    ? null
    : verdict(subjects, { textName: measurement.name, vocabularySize })
}

/** Of one that was trained elsewhere the steps may not be known: they are nobody else's. */
function trainingOf({
  trainedSteps,
  isTrainedElsewhere,
}: CompareRow): NonNullable<VerdictSubject['training']> | null {
  const steps = trainedSteps ?? (isTrainedElsewhere ? Infinity : null)
  return steps === null ? null : { steps, diverged: false }
}

/** Of a row less the base; `null` where either is not known window by window. */
export function differenceOf(
  row: CompareRow,
  base: CompareRow | undefined,
  measurement: Measurement,
): PairedDifference | null {
  if (!base || base === row) return null
  const [a, b] = [perplexityOf(row, measurement), perplexityOf(base, measurement)]
  return a?.losses && b?.losses ? pairedDifference(a.losses, b.losses) : null
}

/** Rows that differ in their seed alone, by subject; a second one of the same seed stands for itself. */
function groupsOf(rows: readonly CompareRow[]): ReadonlyMap<string, string> {
  const seen = new Set<string>()
  const groups = new Map<string, string>()
  for (const { subject, settings } of rows) {
    if (subject === 'base') continue
    const { seed, ...others } = settings
    const key = JSON.stringify(Object.entries(others).sort(([a], [b]) => (a < b ? -1 : 1)))
    if (seen.has(`${key}/${seed}`)) continue
    seen.add(`${key}/${seed}`)
    groups.set(subject, key)
  }
  return groups
}
