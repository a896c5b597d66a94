interface Size {
  readonly width: number
  readonly height: number
}

/**
 * An SVG path through the points, on a logarithmic axis when all of them are positive. What is no number is left out:
 * over JSON a NaN arrives as `null`.
 */
export function sparkline(
  x: readonly (number | null)[],
  y: readonly (number | null)[],
  { width, height }: Size,
): string {
  const points: [number, number][] = []
  y.forEach((value, index) => {
    const at = x[index]
    if (typeof at === 'number' && typeof value === 'number' && Number.isFinite(value)) {
      points.push([at, value])
    }
  })
  if (points.length < 2) return ''
  const isLog = points.every(([, value]) => value > 0)
  const scaled = points.map(([at, value]): [number, number] => [
    at,
    isLog ? Math.log(value) : value,
  ])
  const across = scale(
    scaled.map(([at]) => at),
    0,
    width,
  )
  const down = scale(
    scaled.map(([, value]) => value),
    height,
    0,
  )
  return scaled
    .map(([at, value], index) => `${index === 0 ? 'M' : 'L'}${across(at)},${down(value)}`)
    .join('')
}

/** Maps the values' range to `from … to`, rounded to tenths of a pixel; a single value goes to the middle. */
function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  let [low, high] = [Infinity, -Infinity]
  for (const value of values) {
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  const span = high - low
  return (value) => {
    const share = span === 0 ? 0.5 : (value - low) / span
    return Math.round((from + share * (to - from)) * 10) / 10
  }
}
