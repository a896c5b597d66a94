import { isOpen, type JobSnapshot, type JobState } from '@shared/jobs'
import type { RunDetail } from '@shared/projects'

export const STAGES = ['decompose', 'train', 'predict'] as const
export type Stage = (typeof STAGES)[number]

/** One stage of one weight type. */
export interface StageCell {
  readonly state: 'waiting' | 'active' | 'done' | 'stopped' | 'skipped'
  /** Done so far, 0 … 1; `null` when that is not known. */
  readonly share: number | null
  /** How long it took; `null` when that is not known. */
  readonly seconds: number | null
  /** Taken from what an earlier run had computed. */
  readonly isKept?: boolean
}

export interface PipelineView {
  /** In the order of the steps; empty for a method that learns nothing. */
  readonly rows: readonly {
    readonly type: string
    readonly cells: Readonly<Record<Stage, StageCell>>
  }[]
  /** Steps that belong to no weight type, in order: those before the first one (matching), and the others (writing). */
  readonly before: readonly OtherStep[]
  readonly others: readonly OtherStep[]
}

interface OtherStep {
  readonly id: string
  readonly label: string
  readonly cell: StageCell
}

const WAITING: StageCell = { state: 'waiting', share: null, seconds: null }
const SKIPPED: StageCell = { ...WAITING, state: 'skipped' }

/**
 * The stages of a run as a grid, from its job while there is one and from what was kept of it afterwards.
 *
 * @param state Of the run: what was active when it ended has stopped.
 */
export function pipelineOf(
  state: JobState,
  steps: JobSnapshot['steps'],
  timings: RunDetail['timings'],
): PipelineView {
  const isRunning = isOpen(state)
  const known = new Map(timings.map((timing) => [timing.id, timing]))
  const cells = new Map<string, { label: string; cell: StageCell }>()
  for (const { id, label, seconds, isKept } of timings) {
    cells.set(id, { label, cell: seconds === null ? WAITING : doneIn(seconds, isKept) })
  }
  for (const { id, label, done, total, kept } of steps) {
    const timing = known.get(id)
    const took = isRunning ? (kept ?? null) : (timing?.seconds ?? null)
    const cell = cellOf(done, total, took, isRunning)
    const isKept = cell.state === 'done' && (timing?.isKept ?? (isRunning && kept !== undefined))
    cells.set(id, { label, cell: isKept ? { ...cell, isKept } : cell })
  }
  if (state === 'succeeded') {
    // Whatever was not reported as finished was, or the run would not have succeeded.
    for (const [id, { label, cell }] of cells) {
      cells.set(id, { label, cell: { ...cell, state: 'done', share: 1 } })
    }
  }
  // Nothing waits in a run that has ended.
  const idle = isRunning ? WAITING : SKIPPED
  for (const [id, { label, cell }] of cells) {
    if (cell.state === 'waiting') cells.set(id, { label, cell: { ...cell, state: idle.state } })
  }
  const types = new Set([...cells.keys()].flatMap((id) => typeOf(id) ?? []))
  const rows = [...types].map((type) => {
    const own = STAGES.map((stage) => cells.get(`${type}/${stage}`)?.cell)
    const [decompose = idle, train = idle, predict = idle] = own
    return { type, cells: { decompose, train, predict } }
  })
  const first = [...cells.keys()].findIndex((id) => typeOf(id) !== null)
  const stepsOf = (entries: [string, { label: string; cell: StageCell }][]): OtherStep[] =>
    entries
      .filter(([id]) => typeOf(id) === null)
      .map(([id, { label, cell }]) => ({ id, label, cell }))
  const all = [...cells]
  return {
    rows,
    before: stepsOf(all.slice(0, Math.max(0, first))),
    others: stepsOf(all.slice(Math.max(0, first))),
  }
}

function cellOf(done: number, total: number, seconds: number | null, isOpen: boolean): StageCell {
  if (total <= 0) return done > 0 ? active(null, isOpen) : { ...WAITING, seconds }
  if (done >= total) return { state: 'done', share: 1, seconds }
  return active(Math.max(0, done / total), isOpen)
}

function active(share: number | null, isOpen: boolean): StageCell {
  return { state: isOpen ? 'active' : 'stopped', share, seconds: null }
}

function doneIn(seconds: number, isKept = false): StageCell {
  return { state: 'done', share: 1, seconds, ...(isKept ? { isKept } : {}) }
}

/** The weight type of a stage's step, `q_proj/train`; `null` of another step. */
function typeOf(id: string): string | null {
  const [type = '', stage] = id.split('/')
  return STAGES.some((known) => known === stage) ? type : null
}
