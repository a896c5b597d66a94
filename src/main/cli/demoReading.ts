import { METHOD_NAMES, type Method } from '@shared/methods'

/** One line of the demo's table; `method` is `null` for the model that was grown. */
export interface DemoRow {
  readonly method: Method | null
  readonly layers: number
  readonly perplexity: number
  readonly seconds: number | null
}

/** Perplexities closer than this, relative to each other, are called equal: another seed moves them as much. */
const EQUAL = 2e-4

/**
 * Says in one sentence or two what the table shows of LESA, from its numbers: against the model it started from,
 * against the yardsticks that a learned prediction has to beat, and against the method that changes nothing.
 */
export function readDemo(rows: readonly DemoRow[]): string {
  const of = (method: Method | null): number =>
    rows.find((row) => row.method === method)?.perplexity ?? NaN
  const lesa = of('lesa')
  const base = of(null)
  const compare = (other: number): 'below' | 'level with' | 'above' =>
    Math.abs(lesa - other) <= EQUAL * other ? 'level with' : lesa < other ? 'below' : 'above'

  const rivals = ['neighbour-mean', 'solar', 'noise'] as const
  const groups = (['below', 'level with', 'above'] as const)
    .map((place) => ({
      place,
      names: rivals
        .filter((rival) => compare(of(rival)) === place)
        .map((name) => METHOD_NAMES[name]),
    }))
    .filter(({ names }) => names.length > 0)
    .map(({ place, names }) => `${place} ${listed(names)}`)

  const change =
    compare(base) === 'level with' ? 'level with the base' : `${compare(base)} the base`
  const isWorthIt = compare(of('noise')) === 'below'
  return (
    `Reading: LESA's perplexity right after growing is ${[change, ...groups].join(', ')}: ` +
    (isWorthIt
      ? 'its prediction is worth more than noise of the same size. '
      : 'by this measure its prediction is worth no more than noise of the same size. ') +
    'LLaMA Pro changes nothing by construction; which start trains best shows only in training.'
  )
}

function listed(parts: readonly string[]): string {
  return parts.length < 2
    ? (parts[0] ?? '')
    : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`
}
