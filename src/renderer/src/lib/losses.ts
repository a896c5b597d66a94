import { formatValue } from './numbers'

/** Losses of starts differ in the third digit after the point. */
export function formatLoss(value: number | null | undefined): string {
  return value !== null && value !== undefined && Math.abs(value) >= 0.1 && Math.abs(value) < 1000
    ? value.toFixed(3)
    : formatValue(value)
}
