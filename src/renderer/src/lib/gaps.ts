/** New layers in each of `count` gaps. */
export function countsOf(gaps: readonly number[], count: number): number[] {
  const counts = Array.from({ length: count }, () => 0)
  for (const gap of gaps) {
    if (gap >= 0 && gap < count) counts[gap] = (counts[gap] ?? 0) + 1
  }
  return counts
}

/** Back to a sorted list: `[0, 2, 1]` → `[1, 1, 2]`. */
export function gapsOf(counts: readonly number[]): number[] {
  return counts.flatMap((count, gap) => Array.from({ length: count }, () => gap))
}

/** The counts with `value` in every gap from one to another, in whichever order they are given. */
export function withRange(
  counts: readonly number[],
  from: number,
  to: number,
  value: number,
): number[] {
  const [low, high] = [Math.min(from, to), Math.max(from, to)]
  return counts.map((count, gap) => (gap >= low && gap <= high ? value : count))
}

interface Stretch {
  readonly first: number
  readonly last: number
  readonly step: number
  readonly count: number
}

/** Fewer layers than this at equal distances are as short when they are named. */
const SHORTEST_STRETCH = 4
/** A list with more parts is cut: the strip of the plan shows all. */
const MAX_PARTS = 8

/**
 * Layers as people read them: `5–10`, `64–190, every second (64)`, `3, 9, 12–14`. Many are counted.
 *
 * @param layers Indices, rising.
 */
export function describeLayers(layers: readonly number[]): string {
  const stretches = stretchesOf(layers)
  const parts = stretches.slice(0, MAX_PARTS).map(({ first, last, step }) => {
    if (first === last) return String(first)
    return step === 1 ? `${first}–${last}` : `${first}–${last}, every ${ordinal(step)}`
  })
  const hasSteps = stretches.some(({ step }) => step > 1)
  const text = parts.join(hasSteps ? '; ' : ', ') + (stretches.length > MAX_PARTS ? ' …' : '')
  return layers.length > MAX_PARTS ? `${text} (${layers.length})` : text
}

function stretchesOf(layers: readonly number[]): Stretch[] {
  const stretches: Stretch[] = []
  for (let from = 0; from < layers.length;) {
    const first = layers[from] ?? 0
    const step = (layers[from + 1] ?? first) - first
    let to = from
    while (step > 0 && (layers[to + 1] ?? NaN) - (layers[to] ?? 0) === step) to += 1
    const count = to - from + 1
    const isWorth = step === 1 ? count > 1 : count >= SHORTEST_STRETCH
    const taken = isWorth ? count : 1
    const last = layers[from + taken - 1] ?? first
    stretches.push({ first, last, step: isWorth ? step : 1, count: taken })
    from += taken
  }
  return stretches
}

function ordinal(step: number): string {
  return step === 2 ? 'second' : step === 3 ? 'third' : `${step}th`
}

/** One new layer in every k-th gap, counted back from the last, where LESA's authors put theirs. */
export function everyKth(count: number, k: number): number[] {
  const gaps: number[] = []
  for (let gap = count - 1; gap >= 0; gap -= k) gaps.unshift(gap)
  return gaps
}
