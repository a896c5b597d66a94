import type { Continuation, GenerateResult, GenerateSpec, NextToken } from '@shared/jobs'
import { formatDuration } from '@shared/units'
import { printable } from './progress'
import { shortPath } from './results'
import { formatTable } from './table'

/** Places where models differ that are shown. */
const SHOWN_PLACES = 12

/** Characters before a place that are shown. */
const SHOWN_BEFORE = 24

/** Each model's text under its name, then where the models would have gone on differently. */
export function formatContinuations(
  { continuations, comparison }: GenerateResult,
  { prompt }: Pick<GenerateSpec, 'prompt'>,
  cwd: string,
): string {
  const texts = continuations.map(
    (one) => `${shortPath(one.model, cwd)}  (${facts(one)})\n${indented(printable(one.text))}\n`,
  )
  return [...texts, formatComparison({ continuations, comparison }, prompt, cwd)]
    .filter((part) => part !== '')
    .join('\n')
}

function facts({ num_hidden_layers: layers, tokens, ...rest }: Continuation): string {
  const { end, seconds_per_token: each, resident } = rest
  const ends = {
    tokens: '',
    end_of_text: ', which ends the text',
    context: ', which fills its context',
  }
  const speed = each === null ? '' : `, ${formatShort(each)} a token`
  const streamed = resident ? '' : ', weights read again for each'
  return `${layers} layers; ${tokens.length} ${tokens.length === 1 ? 'token' : 'tokens'}${ends[end]}${speed}${streamed}`
}

function formatShort(seconds: number): string {
  return seconds < 1 ? `${Math.ceil(seconds * 1000)} ms` : formatDuration(seconds * 1000)
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${line}`))
    .join('\n')
}

function formatComparison(
  { continuations, comparison }: Pick<GenerateResult, 'continuations' | 'comparison'>,
  prompt: string,
  cwd: string,
): string {
  const { models, places } = comparison
  const alone = continuations.length - models.length
  const note =
    alone === 0
      ? ''
      : `${alone === 1 ? 'A model has' : `${alone} models have`} another tokenizer than the first: its tokens cannot be compared.\n`
  if (models.length < 2) return note
  const names = models.map((model) => shortPath(continuations[model]?.model ?? '', cwd))
  const differing = [...places.entries()].filter(([, { differs }]) => differs)
  const on = `after the same text, at ${differing.length} of ${places.length} places`
  if (differing.length === 0)
    return `The likeliest next token is the same at all ${places.length} places.\n${note}`
  const table = formatTable(
    [{ title: 'place', align: 'right' }, { title: 'after' }, ...names.map((title) => ({ title }))],
    differing
      .slice(0, SHOWN_PLACES)
      .map(([index, place]) => [
        String(index + 1),
        `…${before(prompt, places.slice(0, index))}`,
        ...place.models.map(({ next }) => tokenOf(next[0])),
      ]),
  )
  const more = differing.length - SHOWN_PLACES
  const rest =
    more > 0 ? `… and ${more} more; --json has all, each with its likeliest tokens.\n` : ''
  return `The likeliest next token differs, ${on}:\n${table}${rest}${note}`
}

function before(prompt: string, places: readonly { readonly text: string }[]): string {
  const text = prompt + places.map((place) => place.text).join('')
  return [...shownText(text)].slice(-SHOWN_BEFORE).join('')
}

function tokenOf(token: NextToken | undefined): string {
  if (!token) return '–'
  return `“${shownText(token.text)}” ${(100 * token.probability).toFixed(0)} %`
}

function shownText(text: string): string {
  return printable(text.replace(/\r?\n/g, '⏎').replace(/\t/g, '⇥'))
}
