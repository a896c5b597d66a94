/**
 * @file Numbers as people type them. A comma is a decimal sign where it cannot be anything else; what could mean two
 * numbers is refused rather than guessed.
 */

/** What a text says: a number, or why it says none. */
export type ReadNumber =
  | { readonly value: number }
  /** `grouped`: it may have thousands separators, so that `1,500` could be 1500 or 1.5. */
  | { readonly problem: 'none' | 'grouped' }

const SEPARATED = /^[+-]?[1-9]\d{0,2}(?:[.,'’_ \u00a0\u2009\u202f]\d{3})+$/
const NUMBER = /^[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?$/i

/** @param isWhole Whole numbers only: there `1.500` may have a thousands separator too. */
export function readNumber(text: string, isWhole = false): ReadNumber {
  const trimmed = text.trim().replace('−', '-')
  // In a number with a fraction one point is a decimal point, here as in every paper.
  const isPointed = !isWhole && /^[^.]*\.[^.]*$/.test(trimmed) && !/[^\d.+-]/.test(trimmed)
  if (SEPARATED.test(trimmed) && !isPointed) return { problem: 'grouped' }
  if (!NUMBER.test(trimmed)) return { problem: 'none' }
  const value = Number(trimmed.replace(',', '.'))
  return Number.isFinite(value) ? { value } : { problem: 'none' }
}

/** Without its separators, and with the last of them as a decimal sign: what a grouped number may mean. */
export function meaningsOf(text: string): readonly [whole: string, fraction: string] {
  const trimmed = text.trim()
  const digits = (part: string): string => part.replace(/[^\d+-]/g, '')
  return [digits(trimmed), `${digits(trimmed.slice(0, -4))}.${trimmed.slice(-3)}`]
}
