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

/** One new layer in every k-th gap, counted back from the last, where LESA's authors put theirs. */
export function everyKth(count: number, k: number): number[] {
  const gaps: number[] = []
  for (let gap = count - 1; gap >= 0; gap -= k) gaps.unshift(gap)
  return gaps
}
