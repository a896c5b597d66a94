import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import type { EvaluateSpec, JobEvent, JobStep, PerplexityResult } from '@shared/jobs'
import type { ModelSummary } from '@shared/model'
import { boundedRead } from '@system/boundedRead'
import { Checkpoint } from '../checkpoint/Checkpoint'
import type { ModelConfig } from '../architectures/config'
import { checkForwardPass, ForwardPass } from '../decoder/ForwardPass'
import { scoreAgainst } from '../evaluation/against'
import { scoreSequences, type ScoringProgress } from '../evaluation/scoring'
import { cutLines, cutWindows, textLines } from '../evaluation/sequences'
import { checkIds, loadTokenizer } from '../evaluation/tokenizer'
import { roleOf, scoringArrays, scoringWork, tokensOf, type ScoringRole } from '../evaluation/work'
import { mapEvents } from '../lib/reporting'
import { weightOf } from '../lib/work'
import { requireArrays } from '../lib/arrays'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { againstBase, resultOf } from './measured'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'

/** Tokens per window where neither the person nor the model says. */
const DEFAULT_CONTEXT = 2048

/** Longer than any text that perplexity is sensibly measured on. */
const MAX_TEXT_BYTES = 256e6

/** What one checkpoint is measured on. */
interface Material {
  readonly sequences: readonly Int32Array[]
  readonly tokens: number
  /** About how the text was tokenised, if it was for this model. */
  readonly remarks: readonly string[]
}

/**
 * Measures the perplexity of checkpoints on one text, one after another. Definition: the text is tokenised once without
 * special tokens and cut into windows of `context` tokens that do not overlap (a rest at the end is dropped); exp of
 * the mean negative log-likelihood over every window's tokens but its first. With `perLine`, the mean of each line's perplexity instead.
 * With `base`, all are measured on windows of the base's default length, and each is compared with it token by token,
 * unless its tokens are others.
 *
 * @throws AppError `bad_tokenizer`, `bad_request`, `numeric_failure`, and what opening a checkpoint throws.
 */
export const run: JobRunner<'evaluate'> = async function* (spec, { signal }) {
  const { base } = spec
  const isExtra = base !== undefined && !spec.models.includes(base)
  const models = isExtra ? [base, ...spec.models] : spec.models
  const text = await readText(spec.text)
  const opened = await openModels(models)
  const tokens = tokensOf(Buffer.byteLength(text))
  for (const { model, config, summary } of opened) {
    requireArrays(scoringArrays(config, summary, tokens, roleOf(model, base)))
  }
  yield {
    type: 'plan',
    steps: opened.flatMap((one, index) => stepsOf(one, index, tokens, roleOf(one.model, base))),
  }
  const decision = await chooseDevice(spec.device)
  yield { type: 'device', decision }
  const texts = new TokenisedText(text, spec.perLine)
  const runtime = await Runtime.open(decision.device)
  const job: Job = { spec, models, texts, runtime, signal }
  try {
    const results =
      base !== undefined
        ? yield* evaluateAgainst(job, models.indexOf(base))
        : yield* evaluateAll(job)
    const [first, ...others] = results
    return isExtra && first
      ? { kind: 'evaluate', results: others, base: first }
      : { kind: 'evaluate', results }
  } finally {
    await runtime.dispose()
  }
}

interface Job {
  readonly spec: EvaluateSpec
  /** The spec's, after the base where that is not among them. */
  readonly models: readonly string[]
  readonly texts: TokenisedText
  readonly runtime: Runtime
  readonly signal: AbortSignal
}

async function* evaluateAll(job: Job): AsyncGenerator<JobEvent, PerplexityResult[]> {
  const results: PerplexityResult[] = []
  for (const index of job.models.keys()) {
    job.signal.throwIfAborted()
    results.push(yield* evaluateModel(job, index))
  }
  return results
}

async function* evaluateModel(
  { spec, models, texts, runtime, signal }: Job,
  index: number,
): AsyncGenerator<JobEvent, PerplexityResult> {
  const start = performance.now()
  const model = models[index] ?? ''
  const checkpoint = await Checkpoint.open(model)
  const pass = new ForwardPass(checkpoint, runtime, signal)
  try {
    yield* remarksOf(checkpoint)
    const context = spec.context ?? defaultContext(checkpoint.config)
    yield* beyondContext(checkpoint, context)
    const { sequences, tokens, remarks } = await texts.cut(checkpoint, context, signal)
    yield* warnings(remarks)
    const scores = yield* mapEvents(scoreSequences(pass, sequences), (progress) =>
      stepOf(index, progress),
    )
    await checkpoint.assertUnchanged()
    const seconds = (performance.now() - start) / 1000
    return yield* resultOf(checkpoint, { model, spec, context, tokens, scores, seconds })
  } finally {
    await pass.dispose()
    await checkpoint.close()
  }
}

/** As {@link evaluateAll}, with the models whose tokens are the base's beside it. */
async function* evaluateAgainst(
  job: Job,
  baseAt: number,
): AsyncGenerator<JobEvent, PerplexityResult[]> {
  const { spec, models, texts, runtime, signal } = job
  const results: PerplexityResult[] = []
  const refusals = new Map<number, string>()
  const opened: Checkpoint[] = []
  try {
    const base = await Checkpoint.open(models[baseAt] ?? '')
    opened.push(base)
    yield* remarksOf(base)
    const context = spec.context ?? defaultContext(base.config)
    yield* beyondContext(base, context)
    const material = await texts.cut(base, context, signal)
    yield* warnings(material.remarks)
    const beside: { readonly index: number; readonly checkpoint: Checkpoint }[] = []
    for (const [index, model] of models.entries()) {
      if (index === baseAt) continue
      const checkpoint = await Checkpoint.open(model)
      opened.push(checkpoint)
      const refusal = refusalOf(base, checkpoint) ?? (await otherTokens(checkpoint))
      if (refusal !== null) {
        refusals.set(index, refusal)
        yield { type: 'log', level: 'warning', text: `${basename(model)} ${refusal}` }
        continue
      }
      yield* remarksOf(checkpoint)
      yield* beyondContext(checkpoint, context)
      beside.push({ index, checkpoint })
    }
    const places = [baseAt, ...beside.map(({ index }) => index)]
    const compared = [base, ...beside.map(({ checkpoint }) => checkpoint)] as const
    const all = yield* mapEvents(
      scoreAgainst(compared, material.sequences, { runtime, signal }),
      ({ which, ...progress }) => stepOf(places[which] ?? baseAt, progress),
    )
    for (const [which, checkpoint] of compared.entries()) {
      await checkpoint.assertUnchanged()
      const [index, own] = [places[which] ?? baseAt, all[which]]
      if (!own) continue
      const { tokens } = material
      const model = models[index] ?? ''
      const result = yield* resultOf(checkpoint, { model, spec, context, tokens, ...own })
      const first = all[0]
      results[index] =
        which === 0 || !first ? result : { ...result, against_base: againstBase(own, first) }
    }

    async function otherTokens(checkpoint: Checkpoint): Promise<string | null> {
      const { sequences } = await texts.cut(checkpoint, context, signal)
      return isSameText(sequences, material.sequences) ? null : OTHER_TOKENS
    }
  } finally {
    for (const checkpoint of opened) await checkpoint.close()
  }
  for (const [index, not_compared] of refusals) {
    results[index] = { ...(yield* evaluateModel(job, index)), not_compared }
  }
  return results
}

const OTHER_TOKENS = 'has other tokens for this text than the base: it is measured by itself.'

/** Why two models' predictions cannot be compared, whatever the text. */
function refusalOf(base: Checkpoint, { config }: Checkpoint): string | null {
  const { vocabSize } = base.config
  return config.vocabSize === vocabSize
    ? null
    : `has a vocabulary of ${config.vocabSize} tokens, the base one of ${vocabSize}: it is measured by itself.`
}

function isSameText(a: readonly Int32Array[], b: readonly Int32Array[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      (ids, index) => Buffer.compare(bytesOf(ids), bytesOf(b[index] ?? new Int32Array(0))) === 0,
    )
  )
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function beyondContext({ path, config }: Checkpoint, context: number): JobEvent[] {
  const limit = config.maxPositionEmbeddings
  if (limit === null || context <= limit) return []
  return warnings([
    `${basename(path)} was trained for ${limit} positions; windows of ${context} go beyond.`,
  ])
}

function warnings(texts: readonly string[]): JobEvent[] {
  return texts.map((text) => ({ type: 'log', level: 'warning', text }))
}

/** The text's tokens; tokenised again only for a model with another tokenizer. */
class TokenisedText {
  #fingerprint: string | null = null
  #pieces: readonly Int32Array[] = []

  constructor(
    private readonly text: string,
    private readonly perLine: boolean,
  ) {}

  async cut({ path, config }: Checkpoint, context: number, signal: AbortSignal): Promise<Material> {
    const tokenizer = await loadTokenizer(path)
    let remarks: readonly string[] = []
    if (tokenizer.fingerprint !== this.#fingerprint) {
      const pieces = this.perLine ? textLines(this.text) : [this.text]
      const tokenized = await tokenizer.encode(pieces, { signal })
      this.#pieces = tokenized.ids
      this.#fingerprint = tokenizer.fingerprint
      remarks = tokenized.remarks
    }
    for (const piece of this.#pieces) checkIds(piece, config.vocabSize, path)
    const tokens = this.#pieces.reduce((sum, piece) => sum + piece.length, 0)
    const sequences = this.perLine
      ? cutLines(this.#pieces, context)
      : cutWindows(this.#pieces[0] ?? new Int32Array(0), context)
    return { sequences, tokens, remarks }
  }
}

interface Opened {
  readonly model: string
  readonly config: ModelConfig
  readonly summary: ModelSummary
}

/** Opens every checkpoint once before work begins, so that a wrong one among many is told at once. */
async function openModels(models: readonly string[]): Promise<Opened[]> {
  const opened: Opened[] = []
  for (const model of models) {
    const checkpoint = await Checkpoint.open(model)
    await checkpoint.close()
    checkForwardPass(checkpoint)
    await loadTokenizer(model)
    opened.push({ model, config: checkpoint.config, summary: checkpoint.summarize() })
  }
  return opened
}

/** Two steps for each model. */
function stepsOf(
  { model, config, summary }: Opened,
  index: number,
  tokens: number,
  role: ScoringRole,
): JobStep[] {
  const work = scoringWork(config, summary, tokens, role)
  const name = basename(model)
  return [
    { id: stepId(index, 'layers'), label: `${name}: layers`, weight: weightOf(work.layers) },
    { id: stepId(index, 'head'), label: `${name}: scores`, weight: weightOf(work.head) },
  ]
}

function stepOf(index: number, { stage, done, total }: ScoringProgress): JobEvent {
  return { type: 'step', id: stepId(index, stage), done, total }
}

function stepId(index: number, stage: ScoringProgress['stage']): string {
  return `${index}/${stage}`
}

function defaultContext({ maxPositionEmbeddings }: ModelConfig): number {
  return Math.min(maxPositionEmbeddings ?? DEFAULT_CONTEXT, DEFAULT_CONTEXT)
}

/**
 * A byte order mark says how a file is encoded and is not part of its text.
 *
 * @throws AppError `not_found`, `path_denied` or `bad_request`.
 */
async function readText(file: string): Promise<string> {
  const bytes = await boundedRead(file, MAX_TEXT_BYTES, 'bad_request')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new AppError('bad_request', `${file} is not UTF-8 text.`, {
      hint: 'Save it as UTF-8.',
      context: { file, field: 'text' },
      cause,
    })
  }
}
