/** @file What `evaluate` tells of a model that it has scored. */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { pairedDifference, type MeasuredLosses } from '@shared/difference'
import { AppError } from '@shared/errors'
import type { AgainstBase, EvaluateSpec, JobEvent, Making, PerplexityResult } from '@shared/jobs'
import { METHODS } from '@shared/methods'
import { FEW_TOKENS } from '@shared/perplexity'
import type { TrainingRecord } from '@shared/pretraining'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { ModelScores } from '../evaluation/against'
import type { SequenceScore } from '../evaluation/scoring'
import {
  countPredicted,
  meanPerplexity,
  meanStandardError,
  perplexity,
  standardError,
} from '../evaluation/sequences'
import { readLesaFile } from '../growth/lesaFile'

interface Scored {
  /** As the spec names it. */
  readonly model: string
  readonly spec: EvaluateSpec
  readonly context: number
  /** Of the text. */
  readonly tokens: number
  readonly scores: readonly SequenceScore[]
  readonly seconds: number
}

/** A model's result, after what stands against taking it at its word. */
export async function* resultOf(
  { path, config }: Checkpoint,
  { model, spec, context, tokens, scores, seconds }: Scored,
): AsyncGenerator<JobEvent, PerplexityResult> {
  const measured = {
    perplexity: spec.perLine ? meanPerplexity(scores) : perplexity(scores),
    predicted: countPredicted(scores),
    standardError: spec.perLine ? meanStandardError(scores) : standardError(scores),
  }
  const { made, problem } = await makingOf(path)
  for (const text of [...cautions(measured, config.vocabSize), ...problem]) {
    yield { type: 'log', level: 'warning', text: `${basename(path)}: ${text}` }
  }
  const { windowNll, windowTokens } = lossesOf(scores)
  return {
    model,
    tokens,
    ...measured,
    context,
    num_hidden_layers: config.numHiddenLayers,
    vocab_size: config.vocabSize,
    seconds,
    window_nll: windowNll,
    window_tokens: windowTokens,
    ...(made ? { made } : {}),
  }
}

/** How a model's scores and predictions differ from the base's. */
export function againstBase(model: ModelScores, base: ModelScores): AgainstBase {
  const losses = lossesOf(model.scores)
  const tokens = sum(losses.windowTokens)
  const kl = sum(model.kl) / tokens
  return {
    difference: pairedDifference(losses, lossesOf(base.scores)),
    // Rounding may leave a little below zero, where both are the same.
    kl: Math.max(0, kl),
    kl_standard_error: errorOfMean(model.kl, losses.windowTokens),
    top1_agreement: sum(model.agreed) / tokens,
    tokens,
  }
}

function lossesOf(scores: readonly SequenceScore[]): MeasuredLosses {
  return {
    windowNll: scores.map(({ losses }) => sum(losses)),
    windowTokens: scores.map(({ losses }) => losses.length),
  }
}

/** Standard error of Σ sums / Σ tokens, from the spread over windows; `null` below two. */
function errorOfMean(sums: Float64Array, tokens: readonly number[]): number | null {
  const count = sums.length
  if (count < 2) return null
  const all = sum(tokens)
  const mean = sum(sums) / all
  const squares = sums.reduce(
    (total, value, index) => total + (value - mean * (tokens[index] ?? NaN)) ** 2,
    0,
  )
  return Math.sqrt((squares * count) / (count - 1)) / all
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

/** How the model says it was made; a file that cannot be read stops no measurement. */
async function makingOf(
  folder: string,
): Promise<{ readonly made: Making | null; readonly problem: readonly string[] }> {
  try {
    const file = await readLesaFile(folder)
    const method = METHODS.find((name) => name === file?.content['method'])
    if (!file || !method) return { made: null, problem: [] }
    const { content, trainings } = file
    const seeds = [content['seed'], ...trainings.map(({ seed }) => seed)]
    const made = {
      method,
      seeds: seeds.filter((seed) => typeof seed === 'number'),
      recipe: digestOf([RECIPE_FIELDS.map((field) => content[field]), trainings.map(recipeOf)]),
      trained_steps: trainings.reduce((total, { steps }) => total + steps, 0),
    }
    return { made, problem: [] }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { made: null, problem: [error.message] }
  }
}

/** Of `lesa.json`: what decides a growth beside its seed. */
const RECIPE_FIELDS = [
  'base_model',
  'architecture',
  'method',
  'num_hidden_layers',
  'layers',
  'settings',
] as const

/** What decides a training beside its seed. */
function recipeOf({
  seed: _seed,
  loss: _loss,
  eval: _eval,
  forgetting: _forgetting,
  device: _device,
  ...recipe
}: TrainingRecord): object {
  return recipe
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
}

function sum(values: ArrayLike<number>): number {
  let total = 0
  for (let index = 0; index < values.length; index += 1) total += values[index] ?? NaN
  return total
}
