import { formatInteger } from './numbers'

/** Methods differ in the third digit after the point. */
export function formatPerplexity(value: number): string {
  return value < 1000 ? value.toFixed(4) : formatLarge(value)
}

/** `36,247`; what has more digits than anybody reads has an exponent. */
function formatLarge(value: number): string {
  return value >= 1e6 ? value.toExponential(2).replace('e+', 'e') : formatInteger(Math.round(value))
}

/** Three digits say as much as an interval knows. */
export function formatInterval([low, high]: readonly [number, number]): string {
  const short = (value: number): string =>
    value >= 100 ? formatLarge(value) : value.toPrecision(4)
  return `${short(low)}–${short(high)}`
}
