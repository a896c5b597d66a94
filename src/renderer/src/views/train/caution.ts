import type { Estimate } from '@shared/estimate'

/**
 * Bytes that a token of English text has, about: some 2 of a vocabulary of 512, 4 of one of 100,000. A fourth of the bits
 * that tell one token of the vocabulary.
 */
function bytesPerToken(vocabulary: number): number {
  return Math.max(1, Math.log2(vocabulary) / 4)
}

/** Up to four times over, text is about as good as new text (Muennighoff et al. 2023). */
const MANY_TIMES = 4
/** Longer than anybody lets a machine compute for a look. */
const HOPELESS_SECONDS = 14 * 24 * 3600

/** About how often texts are read that have so many bytes, in words; `null` where that is not too often. */
export function timesRead(tokens: number, bytes: number, vocabulary: number): string | null {
  const times = (tokens * bytesPerToken(vocabulary)) / bytes
  if (!(times > MANY_TIMES) || bytes === 0) return null
  return times < 10 ? String(Math.round(times)) : Number(times.toPrecision(2)).toLocaleString('en')
}

/** What makes a training not worth its start here: how long it would take, and a step of it; `null` where it can be done. */
export function hopelessOf({ seconds, training }: Pick<Estimate, 'seconds' | 'training'>): {
  readonly seconds: number
  readonly secondsPerStep: number
} | null {
  if (!training || seconds.low < HOPELESS_SECONDS) return null
  const { low, high } = training.secondsPerStep
  return { seconds: (seconds.low + seconds.high) / 2, secondsPerStep: (low + high) / 2 }
}
