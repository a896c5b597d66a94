/** @file The results as data and as a table. */
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { formatBytes } from '@shared/units'
import { formatTable } from '../../../src/main/cli/table'
import { median, spread } from './statistics'
import type { Benchmark, Estimate, Goal, Part, Sample, Unit } from './types'

/** One row, in the words of the JSON document. */
export interface ResultRow {
  readonly name: string
  readonly description: string
  readonly unit: Unit | null
  /** Medians; `null` where there is nothing to tell. */
  readonly ours: number | null
  readonly reference: number | null
  /** Ours over the reference in time, whatever the unit: below 1 is faster. */
  readonly ratio: number | null
  readonly peak_bytes: number | null
  readonly reference_peak_bytes: number | null
  readonly spread: {
    readonly ours: readonly number[]
    readonly reference: readonly number[] | null
  } | null
  readonly repeats: number
  readonly goal: Goal | null
  readonly goal_met: boolean | null
  readonly estimate: Estimate | null
  readonly notes: readonly string[]
  readonly skipped?: string
  readonly failed?: string
  /** What a benchmark of several parts consists of; its own numbers are those of the part farthest from its goal. */
  readonly parts?: readonly ResultRow[]
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memory_bytes: number
  readonly system: string
  readonly node: string
  readonly reference: string | null
  /** Processes that wanted a core, on average over the minute before the first benchmark; 0 on Windows. */
  readonly load_before: number
}

/** More than this share of the cores busy before the start spoils the numbers. */
const BUSY_SHARE = 0.25

export function describeMachine(reference: string | null, load: number): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_bytes: totalmem(),
    system: `${type()} ${release()} ${process.arch}`,
    node: process.versions.node,
    reference,
    load_before: load,
  }
}

export function rowOf({ name, description }: Benchmark, parts: readonly Part[]): ResultRow {
  const rows = parts.map((part) => partRow(part, description))
  const [first] = rows
  if (rows.length === 1 && first) return { ...first, name }
  const worst = rows.reduce((most, row) => (distance(row) > distance(most) ? row : most))
  return { ...worst, name, notes: [`the numbers are those of ${worst.name}`], parts: rows }
}

export function emptyRow(
  { name, description }: Benchmark,
  why: { readonly skipped: string } | { readonly failed: string },
): ResultRow {
  return {
    name,
    description,
    unit: null,
    ours: null,
    reference: null,
    ratio: null,
    peak_bytes: null,
    reference_peak_bytes: null,
    spread: null,
    repeats: 0,
    goal: null,
    goal_met: null,
    estimate: null,
    notes: [],
    ...why,
  }
}

function partRow(part: Part, description: string): ResultRow {
  const { unit, goal } = part
  const ours = median(part.ours.map(({ value }) => value))
  const reference = part.reference ? median(part.reference.map(({ value }) => value)) : null
  const ratio = reference === null ? null : unit === 's' ? ours / reference : reference / ours
  const row = {
    name: part.name,
    description,
    unit,
    ours,
    reference,
    ratio,
    peak_bytes: highest(part.ours),
    reference_peak_bytes: part.reference && highest(part.reference),
    spread: {
      ours: spread(part.ours.map(({ value }) => value)),
      reference: part.reference && spread(part.reference.map(({ value }) => value)),
    },
    repeats: part.ours.length,
    goal,
    estimate: part.estimate ?? null,
    notes: part.notes ?? [],
  }
  const shares = goalShares(row)
  return { ...row, goal_met: shares.length > 0 ? shares.every((share) => share <= 1) : null }
}

function highest(samples: readonly Sample[]): number | null {
  const peaks = samples.flatMap(({ peakBytes }) => (peakBytes === null ? [] : [peakBytes]))
  return peaks.length > 0 ? Math.max(...peaks) : null
}

type Measured = Pick<
  ResultRow,
  'unit' | 'ours' | 'ratio' | 'peak_bytes' | 'reference_peak_bytes' | 'goal'
>

/** Each measured number over its goal; at most 1 is met. */
function goalShares(row: Measured): number[] {
  const { goal, peak_bytes: peak, reference_peak_bytes: referencePeak } = row
  const shares: number[] = []
  const add = (actual: number | null, wanted: number | undefined) => {
    if (actual !== null && wanted !== undefined) shares.push(actual / wanted)
  }
  add(row.ratio, goal?.ratio)
  add(row.unit === 's' ? row.ours : null, goal?.seconds)
  add(peak, goal?.peakBytes)
  add(peak === null || referencePeak === null ? null : peak / referencePeak, goal?.peakRatio)
  return shares
}

/** How far the worst number of a row is from its goal. */
function distance(row: Measured): number {
  return Math.max(0, ...goalShares(row))
}

/** Processes that want a core, averaged over the last minute. */
export function currentLoad(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2))
}

/** The table, then what there is to say about its rows. */
export function formatResults(rows: readonly ResultRow[], machine: Machine): string {
  const flat = rows.flatMap((row) =>
    row.parts ? row.parts.map((part) => ({ ...part, name: `${row.name} ${part.name}` })) : [row],
  )
  const right = 'right' as const
  const table = formatTable(
    [
      { title: 'benchmark' },
      { title: 'ours', align: right },
      { title: 'reference', align: right },
      { title: 'ratio', align: right },
      { title: 'goal', align: right },
      { title: 'met' },
      { title: 'peak', align: right },
      { title: 'ref. peak', align: right },
      { title: 'estimate' },
    ],
    flat.map((row) => [
      row.name,
      withSpread(row.ours, row.spread?.ours, row.unit),
      withSpread(row.reference, row.spread?.reference, row.unit),
      row.ratio === null ? '–' : row.ratio.toFixed(2),
      formatGoal(row.goal),
      row.goal_met === null ? '–' : row.goal_met ? 'yes' : 'no',
      row.peak_bytes === null ? '–' : formatBytes(row.peak_bytes),
      row.reference_peak_bytes === null ? '–' : formatBytes(row.reference_peak_bytes),
      formatEstimate(row.estimate),
    ]),
  )
  const remarks = flat.flatMap(({ name, notes, skipped, failed }) => [
    ...(skipped === undefined ? [] : [`${name}: skipped: ${skipped}`]),
    ...(failed === undefined ? [] : [`${name}: FAILED: ${failed}`]),
    ...notes.map((note) => `${name}: ${note}`),
  ])
  const busy =
    machine.load_before > BUSY_SHARE * machine.cores
      ? `WARNING: the machine was busy before the start (load ${machine.load_before}); PyTorch suffers most from that.\n\n`
      : ''
  const legend = rows.map(({ name, description }) => `${name}: ${description}`)
  return (
    `${machine.cpu}, ${machine.cores} cores, ${formatBytes(machine.memory_bytes)} memory; ${machine.system}; ` +
    `Node ${machine.node}; reference: ${machine.reference ?? 'none'}\n\n${busy}${table}\n` +
    'Medians (least … most). Ratio: our time over the reference’s, below 1 is faster. Peak: resident memory of the ' +
    `whole process tree. Estimate: the program’s own, before the run; memory of the engine alone.\n\n${[...remarks, ...(remarks.length > 0 ? [''] : []), ...legend].join('\n')}\n`
  )
}

function withSpread(
  value: number | null,
  range: readonly number[] | null | undefined,
  unit: Unit | null,
): string {
  if (value === null) return '–'
  const [least = value, most = value] = range ?? []
  const single = `${significant(value)} ${unit ?? ''}`
  return least === most ? single : `${single} (${significant(least)} … ${significant(most)})`
}

function formatGoal(goal: Goal | null): string {
  if (!goal) return '–'
  const parts = [
    ...(goal.ratio === undefined ? [] : [`ratio ≤ ${Number(goal.ratio.toFixed(2))}`]),
    ...(goal.seconds === undefined ? [] : [`≤ ${goal.seconds} s`]),
    ...(goal.peakBytes === undefined ? [] : [`≤ ${formatBytes(goal.peakBytes)}`]),
    ...(goal.peakRatio === undefined ? [] : [`peak ≤ ${goal.peakRatio.toFixed(2)}`]),
  ]
  return parts.length > 0 ? parts.join(', ') : '–'
}

function formatEstimate(estimate: Estimate | null): string {
  if (!estimate) return '–'
  const [low, high] = estimate.seconds
  return `${significant(low)} … ${significant(high)} s, ${formatBytes(estimate.peakBytes)}`
}

/** Three significant digits, and all of a larger whole number. */
function significant(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
