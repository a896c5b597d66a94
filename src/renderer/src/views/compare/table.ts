import { METHOD_NAMES } from '@shared/methods'
import type { Comparison, CompareRow, Perplexity } from '@shared/projects'
import { formatBytes, formatCount, formatDuration } from '@shared/units'
import type { Cell, TableData } from '../../charts/table'
import { formatInteger, formatValue } from '../../lib/numbers'
import { COMPARE } from './strings'

export type Measurement = Comparison['measurements'][number]

/** A column of the comparison: what it is sorted by and saved as, and how it is read. */
export interface CompareColumn {
  readonly key: string
  readonly label: string
  readonly isNumeric: boolean
  /** Whether lower is better, and the lowest is marked. */
  readonly isLowerBetter: boolean
  readonly valueOf: (row: CompareRow) => Cell
  readonly textOf: (row: CompareRow) => string
}

export interface Sorting {
  readonly key: string
  readonly isDescending: boolean
}

/** A measurement's name within the view. */
export function measurementKey({ text, context, perLine }: Measurement): string {
  return `${text}/${context}/${perLine ? 'line' : 'text'}`
}

export function measurementLabel({ name, context, perLine }: Measurement): string {
  return COMPARE.perplexity(name, context, perLine)
}

/** What was measured of a row in this way; `null` when it was not. */
export function perplexityOf(row: CompareRow, measurement: Measurement): Perplexity | null {
  return (
    row.perplexities.find(
      ({ text, context, perLine }) =>
        text === measurement.text &&
        context === measurement.context &&
        perLine === measurement.perLine,
    ) ?? null
  )
}

/** The columns that the comparison has something for. */
export function columnsOf(comparison: Comparison): CompareColumn[] {
  const names = COMPARE.columns
  const number = (
    key: keyof typeof names,
    pick: (row: CompareRow) => number | null,
    format: (value: number) => string,
    isLowerBetter = false,
  ): CompareColumn => ({
    key,
    label: names[key],
    isNumeric: true,
    isLowerBetter,
    valueOf: pick,
    textOf: (row) => {
      const value = pick(row)
      return value === null ? '–' : format(value)
    },
  })
  const text = (key: keyof typeof names, pick: (row: CompareRow) => string): CompareColumn => ({
    key,
    label: names[key],
    isNumeric: false,
    isLowerBetter: false,
    valueOf: pick,
    textOf: pick,
  })
  const quality = (
    key: keyof NonNullable<CompareRow['quality']>,
    isLowerBetter = true,
  ): CompareColumn => number(key, (row) => row.quality?.[key] ?? null, formatValue, isLowerBetter)
  const all = [
    text('name', (row) => row.name),
    text('method', (row) => (row.method === null ? '–' : METHOD_NAMES[row.method])),
    number('layers', (row) => row.layers, formatInteger),
    number('newLayers', (row) => row.newLayers, formatInteger),
    number('parameters', (row) => row.parameters, formatCount),
    number('bytes', (row) => row.bytes, formatBytes),
    number(
      'seconds',
      (row) => row.seconds,
      (value) => formatDuration(value * 1000),
    ),
    ...comparison.measurements.map(perplexityColumn),
    quality('errorOverZero'),
    quality('errorOverMean'),
    quality('heldOutOverZero'),
    quality('heldOutOverMean'),
    quality('heldOutCosine', false),
    text('device', (row) => row.device ?? '–'),
  ]
  // A column without a single entry says nothing; the first ones always stand.
  return all.filter(
    ({ valueOf }, index) =>
      index < 6 ||
      comparison.rows.some((row) => ![null, '–'].includes(valueOf(row) as string | null)),
  )
}

function perplexityColumn(measurement: Measurement): CompareColumn {
  return {
    key: measurementKey(measurement),
    label: measurementLabel(measurement),
    isNumeric: true,
    isLowerBetter: true,
    valueOf: (row) => perplexityOf(row, measurement)?.perplexity ?? null,
    textOf: (row) => {
      const found = perplexityOf(row, measurement)
      if (!found) return COMPARE.notMeasured
      return found.perplexity === null ? COMPARE.beyond : formatPerplexity(found.perplexity)
    },
  }
}

/** Methods differ in the third digit after the point. */
export function formatPerplexity(value: number): string {
  return value >= 1e5 ? value.toExponential(3) : value >= 1000 ? value.toFixed(1) : value.toFixed(4)
}

/** Sorted by a column; what is not known comes last, whichever way. Equal rows keep their order. */
export function sortRows(
  rows: readonly CompareRow[],
  column: CompareColumn | undefined,
  isDescending: boolean,
): CompareRow[] {
  if (!column) return [...rows]
  return [...rows].sort((a, b) => {
    const [x, y] = [column.valueOf(a), column.valueOf(b)]
    if (x === null || y === null) return Number(x === null) - Number(y === null)
    const order =
      typeof x === 'number' && typeof y === 'number'
        ? x - y
        : String(x).localeCompare(String(y), 'en', { numeric: true })
    return isDescending ? -order : order
  })
}

/** The rows that read lowest in a column; none where it is not a contest, or all read the same. */
export function lowestOf(rows: readonly CompareRow[], column: CompareColumn): readonly string[] {
  if (!column.isLowerBetter) return []
  const known = rows.flatMap((row) => {
    const value = column.valueOf(row)
    return typeof value === 'number'
      ? [{ subject: row.subject, value, text: column.textOf(row) }]
      : []
  })
  const least = known.reduce<(typeof known)[number] | null>(
    (best, entry) => (best && best.value <= entry.value ? best : entry),
    null,
  )
  const winners = known.filter(({ text }) => text === least?.text)
  return winners.length === known.length ? [] : winners.map(({ subject }) => subject)
}

/** The whole comparison for a spreadsheet: measurements, then settings. */
export function exportTable(comparison: Comparison, rows: readonly CompareRow[]): TableData {
  const columns = columnsOf(comparison)
  return {
    columns: [
      ...columns.map(({ label, isNumeric }) => ({ label, isNumeric })),
      ...comparison.settings.map(({ label }) => ({ label })),
    ],
    rows: rows.map((row) => [
      ...columns.map((column) => column.valueOf(row)),
      ...comparison.settings.map(({ key }) => row.settings[key] ?? null),
    ]),
  }
}

/** The comparison for a document: as it is read, with the settings that differ. */
export function documentTable(comparison: Comparison, rows: readonly CompareRow[]): TableData {
  const columns = columnsOf(comparison)
  const settings = comparison.settings.filter(({ differs }) => differs)
  return {
    columns: [
      ...columns.map(({ label, isNumeric }) => ({ label, isNumeric })),
      ...settings.map(({ label }) => ({ label })),
    ],
    rows: rows.map((row) => [
      ...columns.map((column) => column.textOf(row)),
      ...settings.map(({ key }) => row.settings[key] ?? null),
    ]),
  }
}
