/** @file What measured models say of the way they were grown: each against the base and against what it has to beat. */
import {
  contendersOf,
  pairsOf,
  type VerdictContext,
  type VerdictPair,
  type VerdictSubject,
} from './verdictPairs'
import { cautionsOf, equalDepthOf, leadOf, sentenceOf } from './verdictSentences'

export {
  haveSameWindows,
  meanLoss,
  pairedDifference,
  type MeasuredLosses,
  type PairedDifference,
} from './difference'
export {
  AGAINST,
  type Against,
  type Divergence,
  type PairOutcome,
  type VerdictContext,
  type VerdictPair,
  type VerdictSubject,
} from './verdictPairs'

export interface Verdict {
  /** What matters most, in one sentence. */
  readonly lead: string
  /** One for each grown model, in the given order, and what can be said of their depth. */
  readonly sentences: readonly string[]
  /** What stands against taking the numbers at their word. */
  readonly cautions: readonly string[]
  readonly pairs: readonly VerdictPair[]
}

/**
 * The verdict on models that were measured on one text: each grown one against the base, zero (new layers that add
 * nothing), the neighbours' mean and noise of a prediction's size, as far as they are among the models. Better and worse
 * are said only where the 95 % interval of the paired difference leaves out zero, and, of several seeds, where every seed
 * of the one is on the same side of every seed of the other.
 */
export function verdict(subjects: readonly VerdictSubject[], context: VerdictContext): Verdict {
  const contenders = contendersOf(subjects)
  const grown = contenders.filter(({ role }) => role !== 'base')
  const pairs = new Map(grown.map((one) => [one, pairsOf(one, contenders)] as const))
  return {
    lead: leadOf(contenders, pairs),
    sentences: [
      ...[...pairs].map(([one, own]) => sentenceOf(one, own)),
      ...equalDepthOf(contenders),
    ],
    cautions: cautionsOf(subjects, contenders, context),
    pairs: [...pairs.values()].flat(),
  }
}
