/** @file How far a measured perplexity can be trusted, and when two of them differ. */

/** Of a normal distribution, 95 % lie within so many standard deviations. */
const Z = 1.96

/** Fewer tokens than this say little about a model. */
export const FEW_TOKENS = 1000

/** What a measurement has to say for itself. */
export interface Measured {
  /** `null` when it is beyond what a number holds. */
  readonly perplexity: number | null
  /** Of the mean negative log-likelihood, in nats; `null` where it is not known. */
  readonly standardError: number | null
  readonly tokens: number
}

/** The 95 % interval of a perplexity; `null` where it is not known. */
export function perplexityInterval({
  perplexity,
  standardError,
}: Measured): readonly [low: number, high: number] | null {
  if (perplexity === null || standardError === null) return null
  const factor = Math.exp(Z * standardError)
  return [perplexity / factor, perplexity * factor]
}

/**
 * Whether two models' perplexities on one text differ by more than chance would make them. What errors both make on the
 * same tokens is not known, so they count as independent: a difference that is found is one, a small one may be missed.
 */
export function differClearly(a: Measured, b: Measured): boolean {
  if (!a.perplexity || !b.perplexity || a.standardError === null || b.standardError === null) {
    return false
  }
  const difference = Math.abs(Math.log(a.perplexity) - Math.log(b.perplexity))
  return difference > Z * Math.hypot(a.standardError, b.standardError)
}

/** `chance`: no better than guessing among all tokens; `few_tokens`: measured on too little text. */
export type PerplexityCaution = 'chance' | 'few_tokens'

/** @param vocabularySize `null` where it is not known. */
export function perplexityCaution(
  measured: Measured,
  vocabularySize: number | null,
): PerplexityCaution | null {
  if (isNoBetterThanChance(measured, vocabularySize)) return 'chance'
  return measured.tokens < FEW_TOKENS ? 'few_tokens' : null
}

/** Guessing every token with the same probability has the size of the vocabulary as its perplexity. */
export function isNoBetterThanChance(
  { perplexity }: Pick<Measured, 'perplexity'>,
  vocabularySize: number | null,
): boolean {
  return perplexity === null || (vocabularySize !== null && perplexity >= vocabularySize)
}
