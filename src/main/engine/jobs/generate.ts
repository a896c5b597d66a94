import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import {
  textStream,
  type ComparedPlace,
  type Continuation,
  type GenerateSpec,
  type GenerationComparison,
  type JobEvent,
  type JobStep,
  type NextToken,
} from '@shared/jobs'
import { formatDuration } from '@shared/units'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { checkForwardPass } from '../decoder/ForwardPass'
import { findEndOfText } from '../evaluation/endOfText'
import { loadTokenizer, type TokenizerSession } from '../evaluation/tokenizer'
import { CachedDecoder } from '../generation/CachedDecoder'
import { generate, retrace, type WrittenToken } from '../generation/generate'
import { planDecoding, type DecodingPlan } from '../generation/memory'
import { promptTokens, roomAfter } from '../generation/prompt'
import { piecesAt, TextPieces } from '../generation/TextPieces'
import { chooseDevice } from '../onnx/devices'
import { placementOf, type Placement } from '../onnx/placement'
import { Runtime } from '../onnx/Runtime'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'

/** Tokens of a prompt that cost about as much as one that is written: weights are read once for all of them. */
const TOKENS_A_PASS = 64

/** One of the models with the prompt in its tokens. */
interface Subject {
  readonly index: number
  readonly name: string
  readonly checkpoint: Checkpoint
  readonly session: TokenizerSession
  readonly prompt: Int32Array
  /** Tokens that may follow. */
  readonly room: number
  readonly ends: readonly number[]
  /** Whether its tokens are those of the first model. */
  readonly isAlike: boolean
}

/**
 * Continues a prompt with each model in turn. Those with the first one's tokenizer then say what they would have written
 * at each place of its continuation, so that probabilities stand on the same text.
 *
 * @throws AppError `bad_request` for a prompt without tokens or longer than a model's context, `bad_tokenizer`,
 *   `not_enough_memory`, `numeric_failure`, and what opening a checkpoint throws.
 */
export const run: JobRunner<'generate'> = async function* (spec, { signal }) {
  const sessions = new Sessions()
  const checkpoints: Checkpoint[] = []
  try {
    for (const model of spec.models) {
      const checkpoint = await Checkpoint.open(model)
      checkpoints.push(checkpoint)
      checkForwardPass(checkpoint)
      await sessions.open(model)
    }
    const decision = await chooseDevice(spec.device)
    const subjects: Subject[] = []
    for (const [index, checkpoint] of checkpoints.entries()) {
      subjects.push(yield* subjectOf(spec, index, { checkpoint, sessions, signal }))
    }
    for (const subject of subjects) planFor(spec, subject, placementOf(decision.device))
    yield { type: 'plan', steps: subjects.flatMap(stepsOf) }
    yield { type: 'device', decision }
    const runtime = await Runtime.open(decision.device)
    try {
      return yield* continueAll(spec, subjects, { runtime, signal })
    } finally {
      await runtime.dispose()
    }
  } finally {
    sessions.close()
    for (const checkpoint of checkpoints) await checkpoint.close()
  }
}

interface Tools {
  readonly runtime: Runtime
  readonly signal: AbortSignal
}

async function* continueAll(
  spec: GenerateSpec,
  subjects: readonly Subject[],
  tools: Tools,
): AsyncGenerator<JobEvent, { kind: 'generate' } & Outcome> {
  const continuations: Continuation[] = []
  const compared: Traced[] = []
  for (const subject of subjects) {
    const { checkpoint, isAlike, index } = subject
    yield* remarksOf(checkpoint)
    const { isResident } = planFor(spec, subject, tools.runtime.placement)
    const decoder = new CachedDecoder(checkpoint, tools.runtime, tools.signal, { isResident })
    try {
      const { continuation, written } = yield* write(spec, subject, decoder, isResident, tools)
      continuations.push(continuation)
      const [first] = compared
      if (!first) compared.push({ subject, tokens: written })
      else if (isAlike) {
        const trace = retrace(decoder, first.subject.prompt, idsOf(first.tokens))
        let layers = 0
        let next = await trace.next()
        for (; !next.done; next = await trace.next()) {
          layers += 1
          yield stepOf(compareStep(index), layers, checkpoint.config.numHiddenLayers)
        }
        compared.push({ subject, tokens: next.value })
      }
      await checkpoint.assertUnchanged()
    } finally {
      await decoder.dispose()
    }
  }
  return {
    kind: 'generate',
    continuations,
    comparison: await compare(compared, continuations[0]?.tokens ?? [], tools.signal),
  }
}

interface Outcome {
  readonly continuations: readonly Continuation[]
  readonly comparison: GenerationComparison
}

/** What a model says of the places of the first one's continuation. */
interface Traced {
  readonly subject: Subject
  readonly tokens: readonly WrittenToken[]
}

/** Writes one model's continuation. */
async function* write(
  { models, seed, temperature, topK, topP, tokens: wanted }: GenerateSpec,
  { index, name, checkpoint, session, prompt, room, ends }: Subject,
  decoder: CachedDecoder,
  isResident: boolean,
  { signal }: Tools,
): AsyncGenerator<JobEvent, { continuation: Continuation; written: readonly WrittenToken[] }> {
  const start = performance.now()
  const { numHiddenLayers: layers } = checkpoint.config
  const pieces = new TextPieces(session, prompt, signal)
  const tokens: NextToken[] = []
  let firstAt: number | null = null

  const steps = generate(decoder, prompt, { tokens: room, temperature, topK, topP, seed, ends })
  let next = await steps.next()
  for (; !next.done; next = await steps.next()) {
    if (next.value.type === 'layer') {
      const done = next.value.tokens * layers + next.value.layers
      // The output matrix follows the last layer.
      yield stepOf(writeStep(index), done - 1, room * layers)
      continue
    }
    const { id, probability } = next.value.token
    const piece = ends.includes(id) ? '' : await pieces.add(id)
    tokens.push({ id, text: piece, probability })
    yield* textEvents(index, piece)
    const now = performance.now()
    if (tokens.length === 2 && firstAt !== null && !isResident) {
      const text = `${name}: a token takes about ${formatDuration(now - firstAt)}, for the weights are read again for each.`
      yield { type: 'log', level: 'info', text }
    }
    firstAt ??= now
  }
  const seconds = (performance.now() - (firstAt ?? start)) / 1000
  const written = next.value
  const hasEnded = ends.includes(written.at(-1)?.id ?? -1)
  const own = hasEnded ? tokens.slice(0, -1) : tokens
  const rest = await pieces.finish()
  yield* textEvents(index, rest)
  const complete = own.map((token, place) =>
    place === own.length - 1 ? { ...token, text: token.text + rest } : token,
  )
  yield stepOf(writeStep(index), 1, 1)
  return {
    written,
    continuation: {
      model: models[index] ?? '',
      num_hidden_layers: layers,
      text: complete.map(({ text }) => text).join(''),
      tokens: [...complete, ...tokens.slice(complete.length)],
      end: hasEnded ? 'end_of_text' : room < wanted ? 'context' : 'tokens',
      prompt_tokens: prompt.length,
      resident: isResident,
      seconds_per_token: tokens.length < 2 ? null : seconds / (tokens.length - 1),
      seconds: (performance.now() - start) / 1000,
    },
  }
}

/** The compared models side by side, at each place of the first one's continuation. */
async function compare(
  [first, ...others]: readonly Traced[],
  written: readonly NextToken[],
  signal: AbortSignal,
): Promise<GenerationComparison> {
  if (!first) return { models: [], places: [] }
  const all = [first, ...others]
  const { prompt, session } = first.subject
  const before = [...prompt, ...idsOf(first.tokens)]
  const texts = await piecesAt(
    session,
    all.flatMap(({ tokens }) =>
      tokens.map(({ candidates }, place) => ({
        before: before.slice(0, prompt.length + place),
        ids: candidates.map(({ id }) => id),
      })),
    ),
    signal,
  )
  const count = first.tokens.length
  const places = first.tokens.map(({ id }, place): ComparedPlace => {
    const models = all.map(({ tokens }, model) => {
      const { probability = NaN, candidates = [] } = tokens[place] ?? {}
      const names = texts[model * count + place]
      const next = candidates.map((one, rank) => ({ ...one, text: names?.[rank] ?? '' }))
      return { probability, next }
    })
    const likeliest = new Set(models.map(({ next }) => next[0]?.id))
    return { id, text: written[place]?.text ?? '', models, differs: likeliest.size > 1 }
  })
  return { models: all.map(({ subject }) => subject.index), places }
}

/** Opens what is needed of a model before any work, and says what is to be known of it. */
async function* subjectOf(
  { models, prompt: text, tokens }: GenerateSpec,
  index: number,
  { checkpoint, sessions, signal }: Opening,
): AsyncGenerator<JobEvent, Subject> {
  const name = basename(checkpoint.path)
  const { session, isAlike } = sessions.of(models[index] ?? '')
  const { ids, remarks } = await promptTokens(session, text, signal)
  const end = await findEndOfText(checkpoint, session, signal)
  for (const remark of [...remarks, ...end.remarks]) {
    yield { type: 'log', level: 'warning', text: `${name}: ${remark}` }
  }
  const room = roomAfter(ids, tokens, checkpoint)
  if (room < tokens) {
    const limit = checkpoint.config.maxPositionEmbeddings
    const text = `${name} was trained for ${limit} positions: after the prompt's ${ids.length} tokens it writes ${room} at most.`
    yield { type: 'log', level: 'warning', text }
  }
  return { index, name, checkpoint, session, prompt: ids, room, ends: end.ids, isAlike }
}

interface Opening {
  readonly checkpoint: Checkpoint
  readonly sessions: Sessions
  readonly signal: AbortSignal
}

/** A session for each different tokenizer. */
class Sessions {
  readonly #byFingerprint = new Map<string, TokenizerSession>()
  readonly #fingerprints = new Map<string, string>()

  async open(model: string): Promise<void> {
    const tokenizer = await loadTokenizer(model)
    const { fingerprint } = tokenizer
    this.#fingerprints.set(model, fingerprint)
    if (!this.#byFingerprint.has(fingerprint))
      this.#byFingerprint.set(fingerprint, tokenizer.open())
  }

  /** `isAlike`: whether it is that of the model which was opened first. */
  of(model: string): { readonly session: TokenizerSession; readonly isAlike: boolean } {
    const fingerprint = this.#fingerprints.get(model)
    const session = this.#byFingerprint.get(fingerprint ?? '')
    if (!session) throw new AppError('bug', `The tokenizer of ${model} has not been opened.`)
    const [first] = this.#byFingerprint.keys()
    return { session, isAlike: fingerprint === first }
  }

  close(): void {
    for (const session of this.#byFingerprint.values()) session.close()
  }
}

function planFor(
  { memoryBytes, deviceMemoryBytes }: GenerateSpec,
  { checkpoint, prompt, room }: Subject,
  placement: Placement,
): DecodingPlan {
  return planDecoding(checkpoint, {
    placement,
    positions: prompt.length + room,
    scored: room,
    memoryBytes,
    deviceMemoryBytes,
  })
}

/** Writing, and for all but the first saying what would have been written. */
function stepsOf({ index, name, checkpoint, prompt, room, isAlike }: Subject): JobStep[] {
  const { bytes } = checkpoint.summarize()
  const passes = room + Math.ceil(prompt.length / TOKENS_A_PASS)
  return [
    { id: writeStep(index), label: `${name}: writing`, weight: passes * bytes },
    ...(index > 0 && isAlike
      ? [{ id: compareStep(index), label: `${name}: comparing`, weight: bytes }]
      : []),
  ]
}

function writeStep(index: number): string {
  return `${index}/write`
}

function compareStep(index: number): string {
  return `${index}/compare`
}

function stepOf(id: string, done: number, total: number): JobEvent {
  return { type: 'step', id, done, total }
}

function textEvents(index: number, text: string): JobEvent[] {
  return text === '' ? [] : [{ type: 'text', stream: textStream(index), text }]
}

function idsOf(tokens: readonly { readonly id: number }[]): Int32Array {
  return Int32Array.from(tokens, ({ id }) => id)
}
