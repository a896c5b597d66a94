import { formatCount } from '@shared/units'

/** Losses and errors span many magnitudes: three significant digits, and an exponent where it is shorter. */
export function formatValue(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2)
  return value.toPrecision(3)
}

/** A number of tokens: `1,536`, but `1.24 M`. */
export function formatTokens(count: number): string {
  return count < 1e5 ? formatInteger(Math.round(count)) : formatCount(count)
}

/** `1234567` → `1,234,567`. */
export function formatInteger(value: number): string {
  return value.toLocaleString('en')
}
