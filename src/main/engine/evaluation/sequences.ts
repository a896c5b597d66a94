/** @file How a text becomes the token sequences that are scored. Pure. */
import { AppError } from '@shared/errors'
import type { SequenceScore } from './scoring'

/** Sequences are scored from their second token on, so a shorter one says nothing. */
export const MIN_SEQUENCE = 2

/**
 * Cuts a text's tokens into windows of `context` that do not overlap. What is left at the end is dropped: tokens with
 * little before them are predicted worse, so a rest of another length would not be comparable. A text shorter than one
 * window is one. The windows are views.
 *
 * @throws AppError `bad_request` when there is nothing to predict.
 */
export function cutWindows(tokens: Int32Array, context: number): Int32Array[] {
  if (tokens.length < MIN_SEQUENCE) throw tooShort('The text')
  if (tokens.length < context) return [tokens]
  return Array.from({ length: Math.floor(tokens.length / context) }, (_, index) =>
    tokens.subarray(index * context, (index + 1) * context),
  )
}

/** The lines of a text that hold more than white space, without their line ends. */
export function textLines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== '')
}

/**
 * Lines as sequences: those of fewer than {@link MIN_SEQUENCE} tokens are left out, longer ones than `context` are cut
 * there.
 *
 * @throws AppError `bad_request` when no line is left.
 */
export function cutLines(lines: readonly Int32Array[], context: number): Int32Array[] {
  const kept = lines
    .filter((line) => line.length >= MIN_SEQUENCE)
    .map((line) => line.subarray(0, context))
  if (kept.length === 0) throw tooShort('Every line of the text')
  return kept
}

/** exp of the mean negative log-likelihood over all predicted positions. */
export function perplexity(scores: readonly SequenceScore[]): number {
  const nll = scores.reduce((sum, score) => sum + score.nll, 0)
  return Math.exp(nll / countPredicted(scores))
}

/** The mean of the sequences' own perplexities (the authors' notebook, each line a sequence). */
export function meanPerplexity(scores: readonly SequenceScore[]): number {
  return scores.reduce((sum, score) => sum + perplexity([score]), 0) / scores.length
}

export function countPredicted(scores: readonly SequenceScore[]): number {
  return scores.reduce((sum, score) => sum + score.predicted, 0)
}

function tooShort(what: string): AppError {
  return new AppError('bad_request', `${what} has fewer than ${MIN_SEQUENCE} tokens.`, {
    hint: 'Perplexity needs at least one token to predict from another.',
    context: { field: 'text', expected: `at least ${MIN_SEQUENCE} tokens`, actual: 'fewer' },
  })
}
