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
  return Math.exp(meanLoss(scores))
}

/**
 * Standard error of the mean negative log-likelihood, in nats: the estimator of batch means, for tokens near each other
 * are predicted well or badly together, and counting them as independent would make the error too small. The scored
 * tokens are cut into batches of √n neighbours that stay within a sequence, and the spread of the batches' means (as a
 * ratio, because batches at the ends are shorter) gives the error of the whole. `null` below two batches.
 */
export function standardError(scores: readonly SequenceScore[]): number | null {
  const tokens = countPredicted(scores)
  const mean = meanLoss(scores)
  const batches = scores.flatMap(({ losses }) => batchesOf(losses, Math.floor(Math.sqrt(tokens))))
  if (batches.length < 2) return null
  const squares = batches.reduce((sum, batch) => sum + (total(batch) - mean * batch.length) ** 2, 0)
  return Math.sqrt((squares * batches.length) / (batches.length - 1)) / tokens
}

/**
 * Standard error of the logarithm of {@link meanPerplexity}, from the spread of the lines; `null` below two lines and
 * beyond what a number holds.
 */
export function meanStandardError(scores: readonly SequenceScore[]): number | null {
  const mean = meanPerplexity(scores)
  if (scores.length < 2 || !Number.isFinite(mean)) return null
  const squares = scores.reduce((sum, score) => sum + (perplexity([score]) / mean - 1) ** 2, 0)
  return Math.sqrt(squares / (scores.length - 1) / scores.length)
}

/** The mean of the sequences' own perplexities (the authors' notebook, each line a sequence). */
export function meanPerplexity(scores: readonly SequenceScore[]): number {
  return scores.reduce((sum, score) => sum + perplexity([score]), 0) / scores.length
}

export function countPredicted(scores: readonly SequenceScore[]): number {
  return scores.reduce((sum, { losses }) => sum + losses.length, 0)
}

function meanLoss(scores: readonly SequenceScore[]): number {
  return scores.reduce((sum, { losses }) => sum + total(losses), 0) / countPredicted(scores)
}

function batchesOf(losses: Float64Array, length: number): Float64Array[] {
  return Array.from({ length: Math.ceil(losses.length / length) }, (_, index) =>
    losses.subarray(index * length, (index + 1) * length),
  )
}

function total(losses: Float64Array): number {
  return losses.reduce((sum, loss) => sum + loss, 0)
}

function tooShort(what: string): AppError {
  return new AppError('bad_request', `${what} has fewer than ${MIN_SEQUENCE} tokens.`, {
    hint: 'Perplexity needs at least one token to predict from another.',
    context: { field: 'text', expected: `at least ${MIN_SEQUENCE} tokens`, actual: 'fewer' },
  })
}
