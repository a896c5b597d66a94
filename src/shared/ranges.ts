/** @file Lists of layers or gaps as people write them: `5-10`, `3,7,7`. */

/** Longer than any model is deep, and short enough for a request. */
export const MAX_RANGE = 10_000

/** Ranges and single numbers mix; in place of the numbers, the first part that is neither. */
export function parseRanges(
  text: string,
): { readonly numbers: number[] } | { readonly wrong: string } {
  const numbers: number[] = []
  for (const part of text.split(/[,;]/)) {
    const match = /^\s*(\d+)(?:\s*[-–]\s*(\d+))?\s*$/.exec(part)
    const first = Number(match?.[1])
    const last = Number(match?.[2] ?? match?.[1])
    if (!match || last < first || last - first > MAX_RANGE) {
      return { wrong: part.trim() === '' ? 'nothing' : part.trim() }
    }
    for (let number = first; number <= last; number += 1) numbers.push(number)
  }
  return { numbers }
}
