import { z } from 'zod'
import { SEED } from '../bounds'
import { DEVICE_CHOICES } from '../devices'
import { GENERATION } from '../generation'
import { modelNameOf } from '../hub'
import type { RequestedKind } from './kind'
import { path } from './output'

/** Continue a text with one or more checkpoints, one after another. */
export const generateSpecSchema = z.object({
  kind: z.literal('generate'),
  models: z.array(path).min(GENERATION.models.min).max(GENERATION.models.max),
  prompt: z.string().min(GENERATION.prompt.min).max(GENERATION.prompt.max),
  /** The most that are written. */
  tokens: z.int().min(GENERATION.tokens.min).max(GENERATION.tokens.max),
  /** Divides the logits; 0 takes the likeliest token always. */
  temperature: z.number().min(GENERATION.temperature.min).max(GENERATION.temperature.max),
  /** Only so many of the likeliest tokens can follow. */
  topK: z.int().min(GENERATION.topK.min).max(GENERATION.topK.max).optional(),
  /** Only the likeliest tokens can follow that together have this probability. */
  topP: z.number().gt(GENERATION.topP.min).max(GENERATION.topP.max).optional(),
  seed: z.int().min(SEED.min).max(SEED.max),
  device: z.enum(DEVICE_CHOICES),
  /** A bound on host memory; without one most of what is free. Weights that fit stay in memory. */
  memoryBytes: z.int().min(1).optional(),
  /** Memory of a GPU that weights may take to stay there; 4 GB without it. */
  deviceMemoryBytes: z.int().min(1).optional(),
})
export type GenerateSpec = z.infer<typeof generateSpecSchema>

/** A token that could come next. */
export interface NextToken {
  readonly id: number
  readonly text: string
  readonly probability: number
}

/** Why a continuation ends: so many were asked for, the model ended the text, or it was trained for no longer one. */
export type GenerationEnd = 'tokens' | 'end_of_text' | 'context'

/** What one model wrote. */
export interface Continuation {
  readonly model: string
  readonly num_hidden_layers: number
  /** The pieces of all tokens, without an end-of-text token. */
  readonly text: string
  /**
   * A character that lies in several tokens belongs to the last of them; the others' pieces are empty. The probability
   * is the model's own, before temperature, top-k and top-p.
   */
  readonly tokens: readonly NextToken[]
  readonly end: GenerationEnd
  readonly prompt_tokens: number
  /** Whether the weights stayed in memory; else they were read again for each token. */
  readonly resident: boolean
  /** Of the tokens after the first, each; `null` where there is one only. */
  readonly seconds_per_token: number | null
  readonly seconds: number
}

/** A place of the first model's continuation, what it could have written there, and what the others would have. */
export interface ComparedPlace {
  readonly id: number
  readonly text: string
  /**
   * Of each compared model, in their order: the probability of this token, and the likeliest ones. All stand on the same
   * text: the prompt and what the first model wrote before.
   */
  readonly models: readonly {
    readonly probability: number
    readonly next: readonly NextToken[]
  }[]
  /** Whether the models' likeliest tokens differ. */
  readonly differs: boolean
}

export interface GenerationComparison {
  /** Which models: the first, and those with its tokenizer. Of the others, the texts alone can be compared. */
  readonly models: readonly number[]
  readonly places: readonly ComparedPlace[]
}

/** Result of a `generate` job; the names are those of the command line's JSON. */
export interface GenerateResult {
  readonly kind: 'generate'
  readonly continuations: readonly Continuation[]
  readonly comparison: GenerationComparison
}

export const generate: RequestedKind<GenerateSpec, GenerateResult> = {
  kind: 'generate',
  schema: generateSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({ ...spec, models: spec.models.map((model) => at(model, 'reads')) }),
  title: ({ models }) =>
    models.length === 1
      ? `Continuing a text with ${modelNameOf(models[0] ?? '')}`
      : `Continuing a text with ${models.length} models`,
  doing: 'continuing a text',
}

/** The stream of a model's text among a job's. */
export function textStream(model: number): string {
  return `text/${model}`
}
