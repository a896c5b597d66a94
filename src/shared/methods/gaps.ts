/** @file Gap `i` lies between layer `i` and layer `i + 1`; naming it k times asks for k new layers in it. */
import { AppError } from '../errors'
import { MAX_RANGE, parseRanges } from '../ranges'

/** More than anybody asks for, and few enough for a request. */
export const MAX_GAPS = MAX_RANGE

/** The later half's gaps, one layer each, ending before the last layer: 12 layers → 5 … 10; 32 → 15 … 30. */
export function defaultGaps(layerCount: number): number[] {
  const count = Math.floor(layerCount / 2)
  return Array.from({ length: count }, (_, index) => layerCount - 1 - count + index)
}

/** Parses `5-10` or `3,7,7` (ranges and single gaps mix). Throws `bad_request` when it is neither. */
export function parseGaps(text: string): number[] {
  const read = parseRanges(text)
  if ('numbers' in read) return read.numbers
  throw badOption('gaps', 'gaps such as 5-10 or 3,7,7', read.wrong)
}

/** `[5,6,7,9,9]` → `5-7,9,9`. */
export function formatGaps(gaps: readonly number[]): string {
  const parts: string[] = []
  let index = 0
  while (index < gaps.length) {
    let end = index
    while (end + 1 < gaps.length && gaps[end + 1] === (gaps[end] ?? NaN) + 1) end += 1
    const [first, last] = [gaps[index] ?? 0, gaps[end] ?? 0]
    parts.push(end > index ? `${first}-${last}` : String(first))
    index = end + 1
  }
  return parts.join(',')
}

/** A parameter of a method that does not fit the model. */
export function badOption(field: string, expected: string, actual: string): AppError {
  return new AppError('bad_request', `${field}: expected ${expected}, found ${actual}.`, {
    context: { field, expected, actual },
  })
}
