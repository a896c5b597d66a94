import { readNumber } from './numbers'

const SI = ['', 'k', 'M', 'G', 'T'] as const

/** `1_234_567` → `1.23 MB`: SI bytes, three significant digits. */
export function formatBytes(bytes: number): string {
  return `${scaled(bytes)}B`
}

/** `2_490_000` → `2.49 M`. */
export function formatCount(count: number): string {
  return scaled(count).trimEnd()
}

function scaled(value: number): string {
  let power = 0
  let rest = value
  while (Math.abs(rest) >= 999.5 && power < SI.length - 1) {
    rest /= 1000
    power += 1
  }
  const digits = power === 0 ? String(Math.round(rest)) : rest.toPrecision(3)
  return `${digits} ${SI[power] ?? ''}`
}

/** `0.00005` → `5e-5`, as papers write it. */
export function formatNumber(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value)
}

/** `95_000` → `1 min 35 s`; below ten seconds one decimal is kept. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes} min ${whole % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** As {@link formatDuration}, with no more precision than a forecast has: `8 s`, `27 min`, `2.5 h`. */
export function formatRough(ms: number): string {
  const [value, unit] = rough(ms)
  return `${value} ${unit}`
}

/** `27–44 min`, `40 s – 2 min`, or one of them when they are the same. */
export function formatRoughRange(lowMs: number, highMs: number): string {
  const [[low, lowUnit], [high, highUnit]] = [rough(lowMs), rough(highMs)]
  if (lowUnit !== highUnit) return `${low} ${lowUnit} – ${high} ${highUnit}`
  return low === high ? `${high} ${highUnit}` : `${low}–${high} ${highUnit}`
}

function rough(ms: number): readonly [value: number, unit: string] {
  const seconds = Math.max(1, Math.round(ms / 1000))
  if (seconds < 60) return [seconds, 's']
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return [minutes, 'min']
  const hours = seconds / 3600
  if (hours < 48) return [hours < 10 ? Math.round(hours * 2) / 2 : Math.round(hours), 'h']
  return [Math.round(hours / 24), 'days']
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/**
 * Parses `5GB`, `8,5 GB`, `4GiB` or plain bytes; decimal units are powers of ten. Returns `null` when it is none.
 */
export function parseSize(text: string): number | null {
  const match = /^\s*(\d[\d.,]*)\s*([a-z]*)\s*$/i.exec(text)
  const unit = SIZE_UNITS[(match?.[2] ?? '?').toUpperCase()]
  const number = readNumber(match?.[1] ?? '')
  if (!('value' in number) || unit === undefined) return null
  const bytes = Math.floor(number.value * unit)
  return Number.isSafeInteger(bytes) ? bytes : null
}
