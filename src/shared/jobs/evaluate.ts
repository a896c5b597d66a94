import { z } from 'zod'
import { CONTEXT_TOKENS } from '../bounds'
import { DEVICE_CHOICES } from '../devices'
import { modelNameOf } from '../hub'
import type { RequestedKind } from './kind'
import { path } from './output'

/** Measure perplexity of one or more checkpoints on one text. */
export const evaluateSpecSchema = z.object({
  kind: z.literal('evaluate'),
  models: z.array(path).min(1).max(64),
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
  readonly seconds: number
}

export interface EvaluateResult {
  readonly kind: 'evaluate'
  readonly results: readonly PerplexityResult[]
}

export const evaluate: RequestedKind<EvaluateSpec, EvaluateResult> = {
  kind: 'evaluate',
  schema: evaluateSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...spec,
    models: spec.models.map((model) => at(model, 'reads')),
    text: at(spec.text, 'reads'),
  }),
  title: ({ models }) =>
    models.length === 1
      ? `Measuring perplexity of ${modelNameOf(models[0] ?? '')}`
      : `Measuring perplexity of ${models.length} models`,
  doing: 'measuring perplexity',
}
