import { z } from 'zod'
import { CONTEXT_TOKENS } from '../bounds'
import { DEVICE_CHOICES } from '../devices'
import type { PairedDifference } from '../difference'
import { modelNameOf } from '../hub'
import type { Method } from '../methods'
import type { Divergence } from '../verdictPairs'
import type { RequestedKind } from './kind'
import { path } from './output'

/** Measure perplexity of one or more checkpoints on one text. */
export const evaluateSpecSchema = z.object({
  kind: z.literal('evaluate'),
  models: z.array(path).min(1).max(64),
  /** The model that the others are compared with token by token; it is measured as well where it is not among them. */
  base: path.optional(),
  text: path,
  /** Tokens per window; the default is the model's own context, at most 2048. */
  context: z.int().min(CONTEXT_TOKENS.min).max(CONTEXT_TOKENS.max).optional(),
  /** The mean of each line's perplexity (the authors' notebook) instead of the whole text's. */
  perLine: z.boolean(),
  device: z.enum(DEVICE_CHOICES),
})
export type EvaluateSpec = z.infer<typeof evaluateSpecSchema>

export interface PerplexityResult {
  readonly model: string
  readonly perplexity: number
  /** Tokens of the text. */
  readonly tokens: number
  /** Tokens that were scored: all but the first of each window or line, without what is dropped at the end. */
  readonly predicted: number
  /**
   * Of the mean negative log-likelihood, in nats; per line, of the perplexity's logarithm. Either way 95 % of the
   * intervals `perplexity · exp(±1.96 · standardError)` hold the value that ever more text of the kind would give.
   * `null` when one token was scored.
   */
  readonly standardError: number | null
  readonly context: number
  readonly num_hidden_layers: number
  readonly vocab_size?: number
  readonly seconds: number
  /** Σ −ln p over each window's (or line's) scored tokens, in nats, and how many those are. */
  readonly window_nll?: readonly number[]
  readonly window_tokens?: readonly number[]
  /** What the model's own `lesa.json` says of its making; absent where it has none. */
  readonly made?: Making
  /** Where the spec names a base, of every model but that. */
  readonly against_base?: AgainstBase
  /** Why there is no `against_base` although the spec names a base. */
  readonly not_compared?: string
}

/** How a model was made. */
export interface Making {
  readonly method: Method
  /** Of the growth and of every training since. */
  readonly seeds: readonly number[]
  /** The same for models that differ in their seeds alone. */
  readonly recipe: string
  /** Of all its trainings together; 0 right after growing. */
  readonly trained_steps: number
}

/** How a model's predictions differ from the base's, over the scored tokens. */
export interface AgainstBase extends Divergence {
  /** Of the model less the base; `null` with one window. */
  readonly difference: PairedDifference | null
  readonly tokens: number
}

export interface EvaluateResult {
  readonly kind: 'evaluate'
  /** One for each of the spec's models, in that order. */
  readonly results: readonly PerplexityResult[]
  /** Of the spec's base, where it is not among the models. */
  readonly base?: PerplexityResult
}

export const evaluate: RequestedKind<EvaluateSpec, EvaluateResult> = {
  kind: 'evaluate',
  schema: evaluateSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...spec,
    models: spec.models.map((model) => at(model, 'reads')),
    ...(spec.base === undefined ? {} : { base: at(spec.base, 'reads') }),
    text: at(spec.text, 'reads'),
  }),
  title: ({ models }) =>
    models.length === 1
      ? `Measuring perplexity of ${modelNameOf(models[0] ?? '')}`
      : `Measuring perplexity of ${models.length} models`,
  doing: 'measuring perplexity',
}
