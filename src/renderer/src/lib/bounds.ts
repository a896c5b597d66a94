import type { Bounds } from '@shared/bounds'
import { formatNumber } from '@shared/units'
import { FIELD_ERRORS } from '../strings/fields'
import { formatInteger } from './numbers'

/** Range of a number as people read it, and how it is said when it is left. */
export interface Range {
  readonly text: string
  readonly error: string
}

export function describeBounds({ min, max, isWhole, excludes }: Bounds): Range {
  const [low, high] = [min, max].map((end) =>
    Number.isInteger(end) ? formatInteger(end) : formatNumber(end),
  ) as [string, string]
  if (isWhole) return { text: `${low} – ${high}`, error: FIELD_ERRORS.whole(low, high) }
  if (excludes === 'min') {
    return { text: `above ${low}, up to ${high}`, error: FIELD_ERRORS.above(low, high) }
  }
  return excludes === 'max'
    ? { text: `${low} – below ${high}`, error: FIELD_ERRORS.below(low, high) }
    : { text: `${low} – ${high}`, error: FIELD_ERRORS.between(low, high) }
}
