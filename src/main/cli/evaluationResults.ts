/** @file What `lesa evaluate` prints of several models: a table, and below it what the numbers say. */
import { basename } from 'node:path'
import { pairedDifference, type PairedDifference } from '@shared/difference'
import { modelNameOf } from '@shared/hub'
import type { EvaluateResult, PerplexityResult } from '@shared/jobs'
import { formatDuration } from '@shared/units'
import { verdict, type Verdict } from '@shared/verdict'
import { baseOf, measuredOf, subjectsOf } from '@shared/verdictSubjects'
import { formatInterval, formatPerplexity, shortPath } from './results'
import { formatTable, type Column } from './table'

interface Asked {
  readonly cwd: string
  /** The text's path. */
  readonly text: string
  /** Of `--base`. */
  readonly base?: string | undefined
}

/** What was measured, in words; models are called by their names where these differ, otherwise by their paths. */
export function verdictOf(result: EvaluateResult, { cwd, text, base }: Asked): Verdict {
  const all = measuredOf(result)
  const isClear = new Set(all.map(({ model }) => modelNameOf(model))).size === all.length
  const nameOf = ({ model }: PerplexityResult): string =>
    isClear ? modelNameOf(model) : shortPath(model, cwd)
  return verdict(subjectsOf(result, { base, nameOf }), {
    textName: basename(text),
    vocabularySize: baseOf(result, base)?.vocab_size ?? null,
  })
}

export function formatEvaluation(result: EvaluateResult, asked: Asked): string {
  const { lead, sentences, cautions } = verdictOf(result, asked)
  return [
    formatComparison(result, asked),
    `${lead}\n\n`,
    ...sentences.map((sentence) => `${sentence}\n`),
    ...cautions.map((caution) => `Note: ${caution}\n`),
  ].join('')
}

/** Perplexities with what tells each model from the base; KL and agreement where the base was named. */
function formatComparison(result: EvaluateResult, { cwd, text, base: named }: Asked): string {
  const right = 'right' as const
  const base = baseOf(result, named)
  const all = measuredOf(result)
  const columns: readonly (Column & { readonly of: (one: PerplexityResult) => string })[] = [
    { title: 'model', of: ({ model }) => shortPath(model, cwd) },
    { title: 'layers', align: right, of: (one) => String(one.num_hidden_layers) },
    { title: 'perplexity', align: right, of: (one) => formatPerplexity(one.perplexity) },
    { title: '95 %', align: right, of: formatInterval },
    { title: 'difference', align: right, of: (one) => difference(one, ({ mean }) => signed(mean)) },
    {
      title: '95 %',
      align: right,
      of: (one) => difference(one, ({ low, high }) => `${signed(low)} to ${signed(high)}`),
    },
    ...(named === undefined
      ? []
      : [
          { title: 'KL', align: right, of: formatKl },
          { title: 'same top', align: right, of: formatAgreement },
        ]),
    { title: 'scored', align: right, of: ({ predicted }) => String(predicted) },
    { title: 'text', of: () => basename(text) },
    { title: 'context', align: right, of: ({ context }) => String(context) },
    { title: 'time', align: right, of: ({ seconds }) => formatDuration(seconds * 1000) },
  ]
  const table = formatTable(
    columns,
    all.map((one) => columns.map(({ of }) => of(one))),
  )
  const divergence =
    named === undefined
      ? ''
      : '\nKL: of its predictions from the base’s, nats per token, ± 1.96 standard errors. same top: positions with the same most likely token.'
  return (
    `${table}\ndifference: of the mean negative log-likelihood per token from ${base ? shortPath(base.model, cwd) : ''}’s, ` +
    `window by window, in nats.${divergence}\n\n`
  )

  function difference(one: PerplexityResult, show: (found: PairedDifference) => string): string {
    if (one === base || !base) return ''
    const found = pairedDifference(lossesOf(one), lossesOf(base))
    return found ? show(found) : '–'
  }
}

function lossesOf({ window_nll = [], window_tokens = [] }: PerplexityResult): {
  readonly windowNll: readonly number[]
  readonly windowTokens: readonly number[]
} {
  return { windowNll: window_nll, windowTokens: window_tokens }
}

function formatKl({ against_base, not_compared }: PerplexityResult): string {
  if (!against_base) return not_compared === undefined ? '' : '–'
  const { kl, kl_standard_error } = against_base
  const error = kl_standard_error === null ? '' : ` ± ${(1.96 * kl_standard_error).toFixed(5)}`
  return `${kl.toFixed(5)}${error}`
}

function formatAgreement({ against_base, not_compared }: PerplexityResult): string {
  if (!against_base) return not_compared === undefined ? '' : '–'
  return `${(100 * against_base.top1_agreement).toFixed(2)} %`
}

/** `+0.01234`; what rounds to nothing has no sign. */
function signed(value: number): string {
  const text = Math.abs(value).toFixed(5)
  const sign = Number(text) === 0 ? '' : value < 0 ? '−' : '+'
  return `${sign}${text}`
}
