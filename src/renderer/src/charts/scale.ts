import { scaleLinear, scaleLog } from 'd3-scale'

/** Maps a value to pixels; what a logarithmic axis cannot show is `null`. */
export interface Scale {
  readonly domain: readonly [number, number]
  /** Where the axis is marked, ascending. */
  readonly ticks: readonly number[]
  readonly at: (value: number | null | undefined) => number | null
}

export type ScaleKind = 'linear' | 'log'

/** A mark of an axis. */
export interface Tick {
  /** Pixels along the axis. */
  readonly at: number
  readonly text: string
  readonly isNew?: boolean
}

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
  if (low === high) {
    const margin = low === 0 ? 1 : Math.abs(low) * 0.1
    ;[low, high] = kind === 'log' ? [low / 2, high * 2] : [low - margin, high + margin]
  }
  if (kind === 'linear') {
    const scale = scaleLinear([low, high], range)
    if (!isTight) scale.nice(tickCount)
    return { domain: ends(scale.domain()), ticks: scale.ticks(tickCount), at: guarded(scale) }
  }
  const multiples = multiplesFor(low, high)
  const domain: [number, number] = isTight ? [low, high] : roundLogRange(low, high, multiples)
  const inside = logSteps(...domain, multiples).filter(
    (step) => isAtMost(domain[0], step) && isAtMost(step, domain[1]),
  )
  const every = Math.max(1, Math.ceil(inside.length / (tickCount + 1)))
  return {
    domain,
    // A short stretch holds no round multiple, or one; there an even division says as much.
    ticks:
      isTight && inside.length < 3
        ? scaleLinear(domain, range).ticks(tickCount)
        : inside.filter((_, index) => index % every === 0),
    at: guarded(scaleLog(domain, range)),
  }
}

/** The axis's marks with their texts. */
export function ticksOf({ ticks, at }: Scale): Tick[] {
  return ticks.map((value) => ({ at: at(value) ?? 0, text: formatTick(value) }))
}

function ends(domain: readonly number[]): [number, number] {
  return [domain[0] ?? 0, domain.at(-1) ?? 1]
}

/** Without what has no place: infinite values, and on a logarithmic scale zero and below. */
function guarded(scale: (value: number) => number): Scale['at'] {
  return (value) => {
    const at = value === null || value === undefined ? NaN : scale(value)
    return Number.isFinite(at) ? at : null
  }
}

/** Of a power of ten; d3 rounds a logarithmic axis to whole powers only, which leaves most of a short one empty. */
const MULTIPLES = [1, 2, 5] as const

function multiplesFor(low: number, high: number): readonly number[] {
  const decades = Math.log10(high / low)
  return decades < 0.8 ? [1, 1.5, 2, 3, 4, 5, 7] : decades < 3 ? MULTIPLES : [1]
}

/** The multiples of the powers of ten around a range, ascending. */
function logSteps(low: number, high: number, multiples: readonly number[]): number[] {
  const steps: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const multiple of multiples) steps.push(Number(`${multiple}e${power}`))
  }
  return steps
}

/** The narrowest range between multiples of a power of ten that holds both; for a logarithmic axis. */
export function roundLogRange(
  low: number,
  high: number,
  multiples: readonly number[] = MULTIPLES,
): [number, number] {
  const steps = logSteps(low, high, multiples)
  const from = steps.findLast((step) => isAtMost(step, low)) ?? low
  const to = steps.find((step) => isAtMost(high, step)) ?? high
  return from === to ? [from / 2, to * 2] : [from, to]
}

/** Up to rounding. */
function isAtMost(low: number, high: number): boolean {
  return low <= high * (1 + 1e-9)
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
