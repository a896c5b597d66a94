/** @file How a model goes on with a text, and what another would have said at each place. */
import { AppError } from '@shared/errors'
import { Random } from '../lib/random'
import type { CachedDecoder } from './CachedDecoder'
import { NextTokens, type Candidate } from './NextTokens'
import { chooseToken, type Sampling } from './sampling'

/** A token that was written. */
export interface WrittenToken {
  readonly id: number
  /** That the model gave it, whatever the sampling made of it. */
  readonly probability: number
  /** The likeliest tokens at its place. */
  readonly candidates: readonly Candidate[]
}

export interface GenerationOptions extends Sampling {
  /** The most tokens that are written. */
  readonly tokens: number
  readonly seed: number
  /** Tokens after which nothing follows; such a token is written still. */
  readonly ends: readonly number[]
}

/** A layer has run, or a token is written. */
export type GenerationStep =
  | { readonly type: 'layer'; readonly tokens: number; readonly layers: number }
  | { readonly type: 'token'; readonly token: WrittenToken }

/**
 * Writes tokens after a prompt, one at a time.
 *
 * @param prompt Token ids below the vocabulary's size, one at least.
 * @throws AppError `numeric_failure`
 */
export async function* generate(
  decoder: CachedDecoder,
  prompt: Int32Array,
  options: GenerationOptions,
): AsyncGenerator<GenerationStep, readonly WrittenToken[]> {
  // The same numbers for every model.
  const random = new Random(options.seed, 'generate')
  const written: WrittenToken[] = []
  const ids = new Int32Array(prompt.length + options.tokens)
  ids.set(prompt)
  while (written.length < options.tokens) {
    const count = prompt.length + written.length
    const states = decoder.last(ids.subarray(0, count))
    let layers = 0
    let next = await states.next()
    for (; !next.done; next = await states.next()) {
      layers += 1
      yield { type: 'layer', tokens: written.length, layers }
    }
    const logits = new Float32Array(decoder.checkpoint.config.vocabSize)
    for await (const part of decoder.logits(next.value)) logits.set(part.logits, part.start)
    const id = chooseToken(logits, options, random)
    const token = tokenOf(decoder, logits, id)
    ids[count] = id
    written.push(token)
    yield { type: 'token', token }
    if (options.ends.includes(id)) break
  }
  return written
}

function tokenOf(decoder: CachedDecoder, logits: Float32Array, id: number): WrittenToken {
  const place = new NextTokens(Int32Array.of(id))
  place.add({ logits, start: 0, end: logits.length })
  return { id, probability: checked(decoder, place, 0), candidates: place.candidates(0) }
}

/**
 * What a model would write at each place of another's continuation, given all that stands before it; yields after each
 * layer.
 *
 * @param continuation One token at least.
 * @throws AppError `numeric_failure`
 */
export async function* retrace(
  decoder: CachedDecoder,
  prompt: Int32Array,
  continuation: Int32Array,
): AsyncGenerator<void, readonly WrittenToken[]> {
  const ids = new Int32Array(prompt.length + continuation.length - 1)
  ids.set(prompt)
  ids.set(continuation.subarray(0, -1), prompt.length)
  const hidden = yield* decoder.all(ids)
  const { hiddenSize } = decoder.checkpoint.config
  const places = new NextTokens(continuation)
  // The last of the prompt predicts the first that follows.
  const states = hidden.subarray((prompt.length - 1) * hiddenSize)
  for await (const part of decoder.logits(states)) places.add(part)
  return Array.from(continuation, (id, place) => ({
    id,
    probability: checked(decoder, places, place),
    candidates: places.candidates(place),
  }))
}

function checked({ checkpoint }: CachedDecoder, places: NextTokens, place: number): number {
  const probability = places.probability(place)
  if (!Number.isNaN(probability)) return probability
  throw new AppError('numeric_failure', 'The output layer computes values that are not finite.', {
    hint: 'Look at the final norm and the output matrix: they may hold infinities.',
    context: { file: checkpoint.path },
  })
}
