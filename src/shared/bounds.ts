/** Which numbers a setting takes; schemas, forms and messages follow from it. */
export interface Bounds {
  readonly min: number
  readonly max: number
  readonly isWhole?: boolean
  /** The end that is not taken itself. */
  readonly excludes?: 'min' | 'max'
}

export function isWithinBounds(value: number, { min, max, isWhole, excludes }: Bounds): boolean {
  if (isWhole && !Number.isInteger(value)) return false
  return (
    (excludes === 'min' ? value > min : value >= min) &&
    (excludes === 'max' ? value < max : value <= max)
  )
}

/** Above 0, up to 1. */
export const SHARE: Bounds = { min: 0, max: 1, excludes: 'min' }

export const SEED: Bounds = { min: 0, max: 0xffff_ffff, isWhole: true }

/** Tokens in a window of text that is evaluated. */
export const CONTEXT_TOKENS: Bounds = { min: 2, max: 1_048_576, isWhole: true }
