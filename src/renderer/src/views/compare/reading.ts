import { differClearly, isNoBetterThanChance, perplexityCaution } from '@shared/perplexity'
import type { Perplexity, Subject } from '@shared/projects'
import { READING } from './strings'

/** One model's perplexity on a text. */
export interface Reading {
  readonly subject: Subject
  readonly name: string
  readonly found: Perplexity
}

/**
 * What perplexities on one text say, in sentences: which models differ from the base by more than chance, and whether
 * the grown ones differ from each other. Numbers that say nothing (on few tokens, no better than guessing, without
 * their error) are not read; then there is no sentence.
 */
export function readingOf(measured: readonly Reading[], vocabulary: number | null): string[] {
  const isTelling = ({ found }: Reading): boolean =>
    found.standardError !== null && perplexityCaution(found, vocabulary) === null
  const base = measured.find(({ subject }) => subject === 'base')
  const grown = measured.filter(({ subject }) => subject !== 'base')
  if (!measured.every(({ found }) => found.standardError !== null)) return []
  const told: string[] = []
  if (base && isTelling(base)) {
    const known = grown.filter(isTellingOrChance)
    const differing = known.filter(
      ({ found }) => found.perplexity === null || differClearly(found, base.found),
    )
    const isLower = ({ found }: Reading): boolean => valueOf(found) < valueOf(base.found)
    const level = known.filter((one) => !differing.includes(one))
    told.push(
      ...READING.better(namesOf(differing.filter(isLower))),
      ...READING.worse(namesOf(differing.filter((one) => !isLower(one)))),
      ...READING.level(namesOf(level)),
    )
  }
  const rivals = grown.filter(isTelling)
  const best = rivals.toSorted((a, b) => valueOf(a.found) - valueOf(b.found))[0]
  if (best && rivals.length > 1) {
    const others = rivals.filter((one) => one !== best)
    if (others.every((one) => differClearly(one.found, best.found)))
      told.push(READING.best(best.name))
    else if (!anyDiffer(rivals)) told.push(READING.alike)
  }
  return told

  /** A model that is no better than guessing is worse than a base that is. */
  function isTellingOrChance(one: Reading): boolean {
    return isTelling(one) || isNoBetterThanChance(one.found, vocabulary)
  }
}

const valueOf = ({ perplexity }: Perplexity): number => perplexity ?? Infinity
const namesOf = (all: readonly Reading[]): string[] => all.map(({ name }) => name)

function anyDiffer(all: readonly Reading[]): boolean {
  return all.some((a, index) => all.slice(index + 1).some((b) => differClearly(a.found, b.found)))
}
