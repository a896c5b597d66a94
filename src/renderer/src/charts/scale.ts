/** Maps a value to pixels; what a logarithmic axis cannot show is `null`. */
export interface Scale {
  readonly domain: readonly [number, number]
  /** Where the axis is marked, ascending. */
  readonly ticks: readonly number[]
  at(value: number | null | undefined): number | null
}

export type ScaleKind = 'linear' | 'log'

interface ScaleOptions {
  readonly kind: ScaleKind
  /** Pixels of the domain's ends; descending for a vertical axis. */
  readonly range: readonly [number, number]
  /** About how many marks fit. */
  readonly tickCount?: number
  /** Values that have to be on the axis beside the data's own: 0, a reference line. */
  readonly include?: readonly number[]
  /** Keeps the data's own ends instead of the next round values. */
  readonly isTight?: boolean
}

/** An axis for the given values. Without any value that it can show it runs from 0 (or 1) to 1 (or 10). */
export function scaleFor(values: Iterable<number | null>, options: ScaleOptions): Scale {
  const { kind, range, tickCount = 5, include = [], isTight = false } = options
  let [low, high] = [Infinity, -Infinity]
  const widen = (value: number | null): void => {
    if (value === null || !Number.isFinite(value) || (kind === 'log' && value <= 0)) return
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  for (const value of values) widen(value)
  include.forEach(widen)
  if (low > high) [low, high] = kind === 'log' ? [1, 10] : [0, 1]
  return kind === 'log'
    ? logScale(low, high, range, tickCount, isTight)
    : linearScale(low, high, range, tickCount, isTight)
}

function linearScale(
  low: number,
  high: number,
  range: readonly [number, number],
  tickCount: number,
  isTight: boolean,
): Scale {
  if (low === high) {
    const margin = low === 0 ? 1 : Math.abs(low) * 0.1
    ;[low, high] = [low - margin, high + margin]
  }
  const step = niceStep((high - low) / Math.max(1, tickCount))
  const [from, to] = isTight
    ? [low, high]
    : [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step]
  const ticks: number[] = []
  for (let index = Math.ceil(from / step - 1e-9); index * step <= to + step * 1e-9; index += 1) {
    // 3 × 0.1 is 0.30000000000000004.
    ticks.push(Number((index * step).toPrecision(12)))
  }
  return {
    domain: [from, to],
    ticks,
    at: (value) => (isNumber(value) ? interpolate(value, from, to, range) : null),
  }
}

function logScale(
  low: number,
  high: number,
  range: readonly [number, number],
  tickCount: number,
  isTight: boolean,
): Scale {
  if (low === high) [low, high] = [low / 2, high * 2]
  const decades = Math.log10(high / low)
  const multiples = decades < 0.8 ? [1, 1.5, 2, 3, 4, 5, 7] : decades < 3 ? [1, 2, 5] : [1]
  const all: number[] = []
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); power++) {
    for (const multiple of multiples) all.push(Number(`${multiple}e${power}`))
  }
  const below = all.filter((tick) => tick <= low * (1 + 1e-9)).at(-1) ?? low
  const above = all.find((tick) => tick >= high * (1 - 1e-9)) ?? high
  const [from, to] = isTight ? [low, high] : [below, above]
  const inside = all.filter((tick) => tick >= from * (1 - 1e-9) && tick <= to * (1 + 1e-9))
  const every = Math.max(1, Math.ceil(inside.length / (tickCount + 1)))
  return {
    domain: [from, to],
    ticks: inside.filter((_, index) => index % every === 0),
    at: (value) =>
      isNumber(value) && value > 0
        ? interpolate(Math.log(value), Math.log(from), Math.log(to), range)
        : null,
  }
}

function interpolate(
  value: number,
  low: number,
  high: number,
  [start, end]: readonly [number, number],
): number {
  return start + ((value - low) / (high - low)) * (end - start)
}

/** 1, 2 or 5 times a power of ten, at least `rough`. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = [1, 2, 5, 10].find((multiple) => multiple * power >= rough * (1 - 1e-9)) ?? 10
  return factor * power
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/** A tick's text: whole numbers as they are, `1e-5` where zeros would hide it. */
export function formatTick(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 1e-3 || size >= 1e6) {
    return Number(value.toPrecision(3)).toExponential().replace('e+', 'e')
  }
  return String(Number(value.toPrecision(6)))
}

/** The narrowest range between 1, 2 or 5 times a power of ten that holds both; for a logarithmic axis. */
export function roundLogRange(low: number, high: number): [number, number] {
  const steps = (value: number): number[] => {
    const power = Math.floor(Math.log10(value))
    return [1, 2, 5, 10].map((multiple) => Number(`${multiple}e${power}`))
  }
  const from = steps(low).findLast((step) => step <= low) ?? low
  const to = steps(high).find((step) => step >= high) ?? high
  return from === to ? [from / 2, to * 2] : [from, to]
}
