import type { EvaluateResult, PerplexityResult } from './jobs'
import type { VerdictSubject } from './verdictPairs'

/** All that were measured, the base first where it is not among the models. */
export function measuredOf({ base, results }: EvaluateResult): readonly PerplexityResult[] {
  return base ? [base, ...results] : results
}

/** The one that the others are compared with: the named one, or the first. */
export function baseOf(result: EvaluateResult, base?: string): PerplexityResult | undefined {
  const all = measuredOf(result)
  return base === undefined ? all[0] : (all.find(({ model }) => model === base) ?? all[0])
}

/**
 * The measured models as a verdict reads them.
 *
 * @param base Path of the base, as in the spec; the first model without it.
 */
export function subjectsOf(
  result: EvaluateResult,
  {
    base,
    nameOf,
  }: { readonly base?: string | undefined; readonly nameOf: (result: PerplexityResult) => string },
): VerdictSubject[] {
  const all = measuredOf(result)
  const first = baseOf(result, base)
  return all.map((one) => ({
    name: nameOf(one),
    method: one.made?.method ?? null,
    isBase: one === first,
    ...(one !== first && differInSeed(one, all) ? { group: one.made?.recipe ?? '' } : {}),
    layers: one.num_hidden_layers,
    losses:
      one.window_nll && one.window_tokens
        ? { windowNll: one.window_nll, windowTokens: one.window_tokens }
        : null,
    perplexity: Number.isFinite(one.perplexity) ? one.perplexity : null,
    tokens: one.predicted,
    training: one.made ? { steps: one.made.trained_steps, diverged: false } : null,
    againstBase: one.against_base ?? null,
  }))
}

/** Whether others have the same recipe, each with a seed of its own. */
function differInSeed({ made }: PerplexityResult, all: readonly PerplexityResult[]): boolean {
  if (!made) return false
  const seeds = all.flatMap((one) =>
    one.made?.recipe === made.recipe ? [one.made.seeds.join()] : [],
  )
  return seeds.length > 1 && new Set(seeds).size === seeds.length
}
