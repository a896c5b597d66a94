/** How the two sides of a change are shown where there is room for a few words. */
export interface ShownChange {
  readonly before: string
  readonly after: string
}

/** A letter or two before what differs, so that it is seen in its place. */
const LEAD = 6

/**
 * Both sides of a change, JSON each (`null` for absent), in at most `letters` letters and never the same: lists are
 * counted (`12 × "full_attention"`), and of what is long, the part where they begin to differ is shown.
 */
export function shownChange(
  before: string | null,
  after: string | null,
  letters: number,
): ShownChange {
  const [a, b] = [inShort(before), inShort(after)]
  if (a.length <= letters && b.length <= letters) return { before: a, after: b }
  const start = Math.max(0, firstDifference(a, b) - LEAD)
  // What differs only near the end of a long text is shown from there.
  const from = start + LEAD < letters ? 0 : start
  return { before: cut(a, from, letters), after: cut(b, from, letters) }
}

function cut(text: string, from: number, letters: number): string {
  const head = from > 0 ? '…' : ''
  const room = letters - head.length
  return text.length - from <= room
    ? `${head}${text.slice(from)}`
    : `${head}${text.slice(from, from + room - 1)}…`
}

function firstDifference(a: string, b: string): number {
  let at = 0
  while (at < a.length && a[at] === b[at]) at += 1
  return at
}

/** Runs of equal entries, counted. */
function inShort(json: string | null): string {
  if (json === null) return '–'
  const value: unknown = JSON.parse(json)
  if (!Array.isArray(value) || value.length < 2) return json
  const runs: { entry: string; count: number }[] = []
  for (const item of value) {
    const entry = JSON.stringify(item)
    const last = runs.at(-1)
    if (last?.entry === entry) last.count += 1
    else runs.push({ entry, count: 1 })
  }
  const text = runs.map(({ entry, count }) => (count > 1 ? `${count} × ${entry}` : entry))
  return `[${text.join(', ')}]`
}
