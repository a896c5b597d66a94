import type { PerplexityResult } from '@shared/jobs'
import { METHOD_NAMES, type Method } from '@shared/methods'
import { verdict } from '@shared/verdict'

/** The methods that have a sentence of their own: what is predicted, and what is fitted. */
const TOLD: readonly Method[] = ['lesa', 'fitted']

/**
 * The verdict on models that were measured on one text: what matters most, and a sentence for each of {@link TOLD}.
 *
 * @param methods Of the models, in their order; `null` for the one that was grown.
 */
export function readDemo(
  textName: string,
  methods: readonly (Method | null)[],
  results: readonly PerplexityResult[],
): string {
  const subjects = results.map((result, index) => {
    const method = methods[index] ?? null
    const { window_nll: windowNll, window_tokens: windowTokens } = result
    return {
      name: method === null ? 'the base' : METHOD_NAMES[method],
      method,
      layers: result.num_hidden_layers,
      losses: windowNll && windowTokens ? { windowNll, windowTokens } : null,
      perplexity: result.perplexity,
      tokens: result.predicted,
    }
  })
  const { lead, sentences, cautions } = verdict(subjects, { textName, vocabularySize: null })
  const isTold = (sentence: string): boolean =>
    TOLD.some((method) => sentence.startsWith(`${METHOD_NAMES[method]} is `))
  return [lead, ...[...sentences.filter(isTold), ...cautions].map((each) => `- ${each}`)].join('\n')
}
