import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import type { EvaluateSpec, JobEvent, JobStep, PerplexityResult } from '@shared/jobs'
import type { ModelSummary } from '@shared/model'
import { boundedRead } from '@system/boundedRead'
import { Checkpoint } from '../checkpoint/Checkpoint'
import type { ModelConfig } from '../architectures/config'
import { checkForwardPass, ForwardPass } from '../decoder/ForwardPass'
import { scoreSequences } from '../evaluation/scoring'
import {
  countPredicted,
  cutLines,
  cutWindows,
  meanPerplexity,
  meanStandardError,
  perplexity,
  standardError,
  textLines,
} from '../evaluation/sequences'
import { checkIds, loadTokenizer } from '../evaluation/tokenizer'
import { scoringArrays, scoringWork, tokensOf } from '../evaluation/work'
import { mapEvents } from '../lib/reporting'
import { weightOf } from '../lib/work'
import { requireArrays } from '../lib/arrays'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'

/** Tokens per window where neither the person nor the model says. */
const DEFAULT_CONTEXT = 2048

/** With fewer, the interval of a perplexity is some ten per cent wide. */
const FEW_TOKENS = 1_000

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
 *
 * @throws AppError `bad_tokenizer`, `bad_request`, `numeric_failure`, and what opening a checkpoint throws.
 */
export const run: JobRunner<'evaluate'> = async function* (spec, { signal }) {
  const text = await readText(spec.text)
  const models = await openModels(spec.models)
  const tokens = tokensOf(Buffer.byteLength(text))
  for (const { config, summary } of models) requireArrays(scoringArrays(config, summary, tokens))
  yield { type: 'plan', steps: models.flatMap((model, index) => stepsOf(model, index, tokens)) }
  const decision = await chooseDevice(spec.device)
  yield { type: 'device', decision }
  const texts = new TokenisedText(text, spec.perLine)
  const runtime = await Runtime.open(decision.device)
  const results: PerplexityResult[] = []
  try {
    for (const [index, model] of spec.models.entries()) {
      signal.throwIfAborted()
      results.push(yield* evaluateModel(spec, { model, index, texts, runtime, signal }))
    }
  } finally {
    await runtime.dispose()
  }
  return { kind: 'evaluate', results }
}

interface ModelRun {
  readonly model: string
  readonly index: number
  readonly texts: TokenisedText
  readonly runtime: Runtime
  readonly signal: AbortSignal
}

async function* evaluateModel(
  spec: EvaluateSpec,
  { model, index, texts, runtime, signal }: ModelRun,
): AsyncGenerator<JobEvent, PerplexityResult> {
  const start = performance.now()
  const checkpoint = await Checkpoint.open(model)
  const pass = new ForwardPass(checkpoint, runtime, signal)
  try {
    yield* remarksOf(checkpoint)
    const { config } = checkpoint
    const context = spec.context ?? defaultContext(config)
    const limit = config.maxPositionEmbeddings
    if (limit !== null && context > limit) {
      const text = `${basename(model)} was trained for ${limit} positions; windows of ${context} go beyond.`
      yield { type: 'log', level: 'warning', text }
    }
    const { sequences, tokens, remarks } = await texts.cut(checkpoint, context, signal)
    for (const text of remarks) yield { type: 'log', level: 'warning', text }
    const scores = yield* mapEvents(scoreSequences(pass, sequences), ({ stage, done, total }) => ({
      type: 'step' as const,
      id: stepId(index, stage),
      done,
      total,
    }))
    await checkpoint.assertUnchanged()
    const result = {
      perplexity: spec.perLine ? meanPerplexity(scores) : perplexity(scores),
      predicted: countPredicted(scores),
      standardError: spec.perLine ? meanStandardError(scores) : standardError(scores),
    }
    for (const text of cautions(result, config.vocabSize)) {
      yield { type: 'log', level: 'warning', text: `${basename(model)}: ${text}` }
    }
    return {
      model,
      tokens,
      ...result,
      context,
      num_hidden_layers: config.numHiddenLayers,
      seconds: (performance.now() - start) / 1000,
    }
  } finally {
    await pass.dispose()
    await checkpoint.close()
  }
}

/** What stands against taking a perplexity at its word. */
function cautions(
  { perplexity, predicted }: Pick<PerplexityResult, 'perplexity' | 'predicted'>,
  vocabSize: number,
): string[] {
  return [
    ...(predicted < FEW_TOKENS
      ? [`Only ${predicted} tokens were scored, so its perplexity is mostly chance.`]
      : []),
    ...(perplexity > vocabSize
      ? [`Guessing among its ${vocabSize} tokens would do better than this perplexity.`]
      : []),
  ]
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
function stepsOf({ model, config, summary }: Opened, index: number, tokens: number): JobStep[] {
  const work = scoringWork(config, summary, tokens)
  const name = basename(model)
  return [
    { id: stepId(index, 'layers'), label: `${name}: layers`, weight: weightOf(work.layers) },
    { id: stepId(index, 'head'), label: `${name}: scores`, weight: weightOf(work.head) },
  ]
}

function stepId(index: number, stage: 'layers' | 'head'): string {
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
