import { METHOD_NAMES } from '@shared/methods'
import {
  differClearly,
  FEW_TOKENS,
  isNoBetterThanChance,
  perplexityInterval,
} from '@shared/perplexity'
import { pairedDifference, type PairedDifference } from '@shared/verdict'
import type { Comparison, CompareRow, Perplexity } from '@shared/projects'
import { formatBytes, formatCount, formatDuration } from '@shared/units'
import type { Cell, TableData } from '../../charts/table'
import { formatInteger, formatValue } from '../../lib/numbers'
import { formatInterval, formatPerplexity } from '../../lib/perplexities'
import { measurementKey, type Measurement } from '../../lib/measurements'
import { differenceOf, perplexityOf } from '../../lib/verdicts'
import { deviceName } from '../../strings/devices'
import { COMPARE } from './strings'

/** A column of the comparison: what it is sorted by, and how it is read. */
export interface CompareColumn {
  readonly key: string
  readonly label: string
  /** Beneath the label. */
  readonly detail?: string
  /** What is measured so says little. */
  readonly isDoubtful?: boolean
  readonly isNumeric: boolean
  readonly valueOf: (row: CompareRow) => Cell
  readonly textOf: (row: CompareRow) => string
  /** Beneath the text: how far it can be trusted. */
  readonly detailOf?: (row: CompareRow) => string
  /** The rows that are marked as the best; none where no number says so. */
  readonly bestOf?: (rows: readonly CompareRow[]) => readonly CompareRow[]
  /** In files: columns with units, numbers in full. Without, the value under the label. */
  readonly saved?: readonly {
    readonly label: string
    readonly valueOf: (row: CompareRow) => Cell
  }[]
}

type Extras = Pick<CompareColumn, 'bestOf' | 'saved'>

export interface Sorting {
  readonly key: string
  readonly isDescending: boolean
}

export function measurementLabel({ name, context, perLine }: Measurement): string {
  return COMPARE.perplexity(name, context, perLine)
}

/** What was measured last, of any row. */
export function newestOf(comparison: Comparison): Perplexity | null {
  return comparison.rows
    .flatMap(({ perplexities }) => perplexities)
    .reduce<Perplexity | null>(
      (newest, one) => (newest && newest.measuredAt >= one.measuredAt ? newest : one),
      null,
    )
}

/** Every column that the comparison has something for: results first, then what they were had for. */
export function columnsOf(comparison: Comparison): CompareColumn[] {
  const names = COMPARE.columns
  const number = (
    key: keyof typeof names,
    pick: (row: CompareRow) => number | null,
    format: (value: number) => string,
    more: Extras = {},
  ): CompareColumn => ({
    key,
    label: names[key],
    isNumeric: true,
    valueOf: pick,
    textOf: (row) => {
      const value = pick(row)
      return value === null ? '–' : format(value)
    },
    ...more,
  })
  const text = (key: keyof typeof names, pick: (row: CompareRow) => string): CompareColumn => ({
    key,
    label: names[key],
    isNumeric: false,
    valueOf: pick,
    textOf: pick,
  })
  const quality = (
    key: keyof NonNullable<CompareRow['quality']>,
    more: Extras = {},
  ): CompareColumn => number(key, (row) => row.quality?.[key] ?? null, formatValue, more)
  /** Only a prediction that beats its yardstick is worth a mark. */
  const lowestBelowOne =
    (key: keyof NonNullable<CompareRow['quality']>) =>
    (rows: readonly CompareRow[]): readonly CompareRow[] => {
      const known = rows.flatMap((row) => {
        const value = row.quality?.[key] ?? null
        return value === null ? [] : [{ row, value, text: formatValue(value) }]
      })
      const best = lowest(known)
      const isContest = new Set(known.map((one) => one.text)).size > 1
      return best && best.value < 1 && isContest
        ? known.filter((one) => one.text === best.text).map(({ row }) => row)
        : []
    }
  const all = [
    text('name', (row) => row.name),
    ...comparison.measurements.flatMap((one) => resultColumns(one, comparison)),
    quality('heldOutOverZero', { bestOf: lowestBelowOne('heldOutOverZero') }),
    quality('heldOutOverMean', { bestOf: lowestBelowOne('heldOutOverMean') }),
    quality('heldOutCosine'),
    quality('errorOverZero'),
    quality('errorOverMean'),
    number('layers', (row) => row.layers, formatInteger),
    text('method', (row) => (row.method === null ? '–' : METHOD_NAMES[row.method])),
    number(
      'seconds',
      (row) => row.seconds,
      (value) => formatDuration(value * 1000),
      {
        saved: [{ label: COMPARE.saved.seconds, valueOf: (row) => row.seconds }],
      },
    ),
    number('newLayers', (row) => row.newLayers, formatInteger),
    number('parameters', (row) => row.parameters, formatCount),
    number('bytes', (row) => row.bytes, formatBytes, {
      saved: [{ label: COMPARE.saved.bytes, valueOf: (row) => row.bytes }],
    }),
    text('device', (row) => deviceName(row.device)),
  ]
  return all.filter(
    ({ key, valueOf }) =>
      ALWAYS.includes(key) ||
      comparison.rows.some((row) => ![null, '–'].includes(valueOf(row) as string | null)),
  )
}

const ALWAYS: readonly string[] = ['name', 'method', 'layers']
/** Costs of a plan, the same for all runs of it. */
const COSTS: readonly string[] = ['layers', 'newLayers', 'parameters', 'bytes', 'device']

/** The columns of the table, and what it leaves out because all runs have it in common. */
export function shownColumns(comparison: Comparison): {
  readonly columns: readonly CompareColumn[]
  readonly common: readonly { readonly label: string; readonly text: string }[]
} {
  const runs = comparison.rows.filter(({ subject }) => subject !== 'base')
  const all = columnsOf(comparison)
  const isCommon = ({ key, textOf }: CompareColumn): boolean =>
    COSTS.includes(key) && new Set(runs.map(textOf)).size <= 1
  const [first] = runs
  return {
    columns: all.filter((column) => !isCommon(column)),
    common: first
      ? all.filter(isCommon).map(({ label, textOf }) => ({ label, text: textOf(first) }))
      : [],
  }
}

/** Perplexity, what it is against the base, and what is left of the base's predictions. */
function resultColumns(measurement: Measurement, comparison: Comparison): CompareColumn[] {
  const base = comparison.rows.find(({ subject }) => subject === 'base')
  // The bootstrap behind an interval is not done for every cell anew.
  const differences = new Map(
    comparison.rows.map((row) => [row, differenceOf(row, base, measurement)]),
  )
  const key = measurementKey(measurement)
  const label = measurementLabel(measurement)
  const found = (row: CompareRow): PairedDifference | null => differences.get(row) ?? null
  const divergence = (row: CompareRow) => perplexityOf(row, measurement)?.againstBase ?? null
  return [
    perplexityColumn(measurement, comparison.vocabularySize),
    {
      key: `${key}/difference`,
      label: COMPARE.difference,
      detail: measurement.name,
      isNumeric: true,
      valueOf: (row) => found(row)?.mean ?? null,
      textOf: (row) => {
        const difference = found(row)
        return difference ? formatDifference(difference) : '–'
      },
      detailOf: (row) => {
        const difference = found(row)
        if (difference) return COMPARE.outcomes[difference.outcome]
        const isUnknown = row !== base && perplexityOf(row, measurement)?.losses === null
        return isUnknown ? COMPARE.noLosses : ''
      },
      saved: [
        {
          label: `${label}, ${COMPARE.saved.difference}`,
          valueOf: (row) => found(row)?.mean ?? null,
        },
        {
          label: `${label}, ${COMPARE.saved.difference}, ${COMPARE.saved.low}`,
          valueOf: (row) => found(row)?.low ?? null,
        },
        {
          label: `${label}, ${COMPARE.saved.difference}, ${COMPARE.saved.high}`,
          valueOf: (row) => found(row)?.high ?? null,
        },
      ],
    },
    {
      key: `${key}/kl`,
      label: COMPARE.divergence,
      detail: measurement.name,
      isNumeric: true,
      valueOf: (row) => divergence(row)?.kl ?? null,
      textOf: (row) => {
        const kl = divergence(row)?.kl
        return kl === undefined ? '–' : formatValue(kl)
      },
      detailOf: (row) => {
        const agreement = divergence(row)?.top1_agreement
        return agreement === undefined ? '' : COMPARE.sameToken((100 * agreement).toFixed(1))
      },
      saved: [
        { label: `${label}, KL`, valueOf: (row) => divergence(row)?.kl ?? null },
        {
          label: `${label}, ${COMPARE.saved.sameToken}`,
          valueOf: (row) => divergence(row)?.top1_agreement ?? null,
        },
      ],
    },
  ]
}

/** `−0.012 (−0.016 to −0.008)`, with as many decimals as its interval deserves. */
function formatDifference({ mean, low, high }: PairedDifference): string {
  const digits = Math.min(5, Math.max(2, 1 - Math.floor(Math.log10(Math.max(1e-5, high - low)))))
  const show = (value: number): string => {
    const text = Math.abs(value).toFixed(digits)
    return Number(text) === 0 ? text : `${value < 0 ? '−' : '+'}${text}`
  }
  return `${show(mean)} (${show(low)} to ${show(high)})`
}

function perplexityColumn(measurement: Measurement, vocabulary: number | null): CompareColumn {
  const of = (row: CompareRow): Perplexity | null => perplexityOf(row, measurement)
  const label = measurementLabel(measurement)
  const isDoubtful = measurement.tokens < FEW_TOKENS
  return {
    key: measurementKey(measurement),
    label,
    detail: isDoubtful ? COMPARE.tooFew(measurement.tokens) : COMPARE.tokens(measurement.tokens),
    isDoubtful,
    isNumeric: true,
    valueOf: (row) => of(row)?.perplexity ?? null,
    textOf: (row) => {
      const found = of(row)
      if (!found) return COMPARE.notMeasured
      return found.perplexity === null ? COMPARE.beyond : formatPerplexity(found.perplexity)
    },
    detailOf: (row) => {
      const found = of(row)
      const ends = found && perplexityInterval(found)
      return ends ? formatInterval(ends) : ''
    },
    // Nothing is best that chance could have put there, or that is no better than guessing.
    bestOf: (rows) => {
      const known = rows.flatMap((row) => {
        const measured = of(row)
        return measured === null ? [] : [{ row, measured, value: measured.perplexity ?? Infinity }]
      })
      const best = lowest(known)
      if (!best || known.length < 2 || isNoBetterThanChance(best.measured, vocabulary)) return []
      const isAlone = known.every(
        (one) => one === best || one.value === Infinity || areApart(one.measured, best.measured),
      )
      return isAlone ? [best.row] : []
    },
    saved: [
      { label, valueOf: (row) => of(row)?.perplexity ?? null },
      { label: `${label}, ${COMPARE.saved.low}`, valueOf: (row) => endOf(of(row), 0) },
      { label: `${label}, ${COMPARE.saved.high}`, valueOf: (row) => endOf(of(row), 1) },
      { label: `${label}, ${COMPARE.saved.tokens}`, valueOf: (row) => of(row)?.tokens ?? null },
    ],
  }
}

/** On the same windows, as the paired difference has it; without them, as if nothing were shared. */
function areApart(a: Perplexity, b: Perplexity): boolean {
  const difference = a.losses && b.losses ? pairedDifference(a.losses, b.losses) : null
  return difference ? difference.outcome !== 'not_distinguishable' : differClearly(a, b)
}

function endOf(measured: Perplexity | null, end: 0 | 1): number | null {
  return (measured && perplexityInterval(measured)?.[end]) ?? null
}

function lowest<T extends { readonly value: number }>(entries: readonly T[]): T | null {
  return entries.reduce<T | null>(
    (best, entry) => (best && best.value <= entry.value ? best : entry),
    null,
  )
}

/** Sorted by a column, the base first whichever way; what is not known comes last. Equal rows keep their order. */
export function sortRows(
  rows: readonly CompareRow[],
  column: CompareColumn | undefined,
  isDescending: boolean,
): CompareRow[] {
  const isBase = ({ subject }: CompareRow): boolean => subject === 'base'
  return [...rows].sort((a, b) => {
    if (isBase(a) || isBase(b)) return Number(isBase(b)) - Number(isBase(a))
    if (!column) return 0
    const [x, y] = [column.valueOf(a), column.valueOf(b)]
    if (x === null || y === null) return Number(x === null) - Number(y === null)
    const order =
      typeof x === 'number' && typeof y === 'number'
        ? x - y
        : String(x).localeCompare(String(y), 'en', { numeric: true })
    return isDescending ? -order : order
  })
}

/** The depths of the chosen grown models where they differ, shallowest first: then depth is part of any difference. */
export function differentDepths(rows: readonly CompareRow[]): readonly number[] {
  const depths = new Set(rows.filter(({ subject }) => subject !== 'base').map((row) => row.layers))
  return depths.size > 1 ? [...depths].sort((a, b) => a - b) : []
}

/** The whole comparison for a spreadsheet: every column with its unit and numbers in full, then every setting. */
export function exportTable(comparison: Comparison, rows: readonly CompareRow[]): TableData {
  const columns = columnsOf(comparison).flatMap(({ label, isNumeric, valueOf, saved }) =>
    (saved ?? [{ label, valueOf }]).map((one) => ({ ...one, isNumeric })),
  )
  return withPlainHeads({
    columns: [
      ...columns.map(({ label, isNumeric }) => ({ label, isNumeric })),
      ...settingsOf(comparison).map(({ label }) => ({ label })),
    ],
    rows: rows.map((row) => [
      ...columns.map((column) => column.valueOf(row)),
      ...settingsOf(comparison).map(({ key }) => row.settings[key] ?? null),
    ]),
  })
}

/** The comparison for a document: as it is read, with the settings that differ. */
export function documentTable(comparison: Comparison, rows: readonly CompareRow[]): TableData {
  const columns = columnsOf(comparison)
  const settings = settingsOf(comparison).filter(({ differs }) => differs)
  return withPlainHeads({
    columns: [
      ...columns.map(({ label, detail, isNumeric }) => ({
        label: detail === undefined ? label : `${label}, ${detail}`,
        isNumeric,
      })),
      ...settings.map(({ label }) => ({ label })),
    ],
    rows: rows.map((row) => [
      ...columns.map(({ textOf, detailOf }) => {
        const detail = detailOf?.(row) ?? ''
        return detail === '' ? textOf(row) : `${textOf(row)} (${detail})`
      }),
      ...settings.map(({ key }) => row.settings[key] ?? null),
    ]),
  })
}

/** Without what is a column already. */
function settingsOf({ settings }: Comparison): Comparison['settings'] {
  return settings.filter(({ key }) => !(key in COMPARE.columns))
}

/** Heads that any program reads, each once: a name that is taken gets a number. */
function withPlainHeads({ columns, rows }: TableData): TableData {
  const taken = new Set<string>()
  const heads = columns.map(({ label, ...column }) => {
    const plain = label.replaceAll(/[‘’]/g, "'").replaceAll(/[“”]/g, '"')
    let unique = plain
    for (let count = 2; taken.has(unique); count += 1) unique = `${plain} (${count})`
    taken.add(unique)
    return { ...column, label: unique }
  })
  return { columns: heads, rows }
}
