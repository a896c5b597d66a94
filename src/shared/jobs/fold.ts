/**
 * @file From what happens to a job to what is known of it. The queue, the windows and the command line all fold with
 * this, so that they know the same.
 */
import type { JobChange, StateChange } from './events'
import type { JobSpec } from './registry'
import { addPoints } from './series'
import type { JobOwner, JobSnapshot, JobUpdate } from './snapshot'

/** What a snapshot holds at most: it is sent whole to a window that asks. */
export const SNAPSHOT_LIMITS = {
  /** Enough for every weight type's loss and held-out loss, and for every curve of sixteen trainings. */
  series: 128,
  /** Of a series. Wider than most charts are in pixels; when it is full, it is thinned to half. */
  points: 1_000,
  log: 500,
  logText: 4_000,
  /** Texts that are written side by side, and the characters of each. */
  texts: 16,
  text: 32_000,
} as const

/** A job that waits for its turn. */
export function newJob(id: string, spec: JobSpec, at: number, owner?: JobOwner): JobSnapshot {
  return {
    id,
    spec,
    ...(owner === undefined ? {} : { owner }),
    state: 'queued',
    seq: 0,
    createdAt: at,
    steps: [],
    progress: 0,
    series: {},
    log: [],
  }
}

/** Pure and bounded; overall progress never goes back. */
export function foldChange(job: JobSnapshot, change: JobChange): JobSnapshot {
  switch (change.type) {
    case 'state':
      return { ...job, ...stateOf(change, change.at) }
    case 'plan':
      return { ...job, steps: change.steps.map((step) => ({ ...step, done: 0, total: 0 })) }
    case 'device':
      return { ...job, device: change.decision }
    case 'step': {
      const { id, done, total, kept } = change
      const told = kept === undefined ? { done, total } : { done, total, kept }
      const steps = job.steps.map((step) => (step.id === id ? { ...step, ...told } : step))
      return { ...job, steps, progress: Math.max(job.progress, overall(steps)) }
    }
    case 'metric': {
      const { series: name } = change
      const isFull = Object.keys(job.series).length >= SNAPSHOT_LIMITS.series
      if (isFull && !Object.hasOwn(job.series, name)) return job
      return { ...job, series: addPoints(job.series, name, change, SNAPSHOT_LIMITS.points) }
    }
    case 'log': {
      const text = change.text.slice(0, SNAPSHOT_LIMITS.logText)
      const line = { at: change.at, level: change.level, text }
      return { ...job, log: [...job.log, line].slice(-SNAPSHOT_LIMITS.log) }
    }
    case 'text': {
      const { texts = {} } = job
      const { stream } = change
      const known = Object.hasOwn(texts, stream) ? texts[stream] : undefined
      if (known === undefined && Object.keys(texts).length >= SNAPSHOT_LIMITS.texts) return job
      const text = ((known ?? '') + change.text).slice(0, SNAPSHOT_LIMITS.text)
      return { ...job, texts: { ...texts, [stream]: text } }
    }
    case 'artifact':
      return job
  }
}

function stateOf(change: StateChange, at: number): Partial<JobSnapshot> {
  const { state } = change
  switch (state) {
    case 'running':
      return { state, startedAt: at }
    case 'pausing':
    case 'cancelling':
      return { state }
    case 'succeeded':
      return { state, result: change.result, progress: 1, endedAt: at }
    case 'failed':
      return { state, error: change.error, endedAt: at }
    case 'cancelled':
    case 'paused':
    case 'interrupted':
      return { state, endedAt: at }
  }
}

/** The steps' weighted mean; a step whose total is not known yet counts as not begun. */
function overall(steps: JobSnapshot['steps']): number {
  let [done, all] = [0, 0]
  for (const step of steps) {
    all += step.weight
    if (step.total > 0) done += step.weight * Math.min(1, Math.max(0, step.done / step.total))
  }
  // A job is finished when it says so, not when its steps are.
  return all > 0 ? Math.min(0.999, done / all) : 0
}

/**
 * What is known of a job after an update of it; what is known already is not folded twice. `null` when updates between
 * have been missed: ask for the job.
 */
export function foldUpdate(known: JobSnapshot | undefined, update: JobUpdate): JobSnapshot | null {
  if (known && update.seq <= known.seq) return known
  if (update.snapshot) return update.snapshot
  if (update.seq !== (known?.seq ?? NaN) + 1) return null
  return known ? { ...update.events.reduce(foldChange, known), seq: update.seq } : null
}

/** Adds a change to those that wait to be told, as few as fold to the same. */
export function queueChange(waiting: readonly JobChange[], change: JobChange): JobChange[] {
  for (let index = waiting.length - 1; index >= 0; index -= 1) {
    const earlier = waiting[index]
    // A plan begins the steps anew: no report moves over it.
    if (!earlier || earlier.type === 'plan') break
    if (!isAboutSame(earlier, change)) continue
    const both = merge(earlier, change)
    return both ? waiting.with(index, both) : [...waiting, change]
  }
  return [...waiting, change]
}

function isAboutSame(a: JobChange, b: JobChange): boolean {
  return (
    (a.type === 'metric' && b.type === 'metric' && a.series === b.series) ||
    (a.type === 'text' && b.type === 'text' && a.stream === b.stream) ||
    (a.type === 'step' && b.type === 'step' && a.id === b.id)
  )
}

/** One change for two: all the points, or a step's later report. `null` where the earlier one counts for itself. */
function merge(earlier: JobChange, later: JobChange): JobChange | null {
  if (earlier.type === 'metric' && later.type === 'metric') {
    const goesOn = (earlier.x.at(-1) ?? NaN) < (later.x[0] ?? NaN)
    return goesOn
      ? { ...later, x: [...earlier.x, ...later.x], y: [...earlier.y, ...later.y] }
      : null
  }
  if (earlier.type === 'text' && later.type === 'text') {
    return { ...later, text: earlier.text + later.text }
  }
  if (earlier.type === 'step' && later.type === 'step') {
    if (earlier.total !== later.total || earlier.done > later.done) return null
    return earlier.kept === later.kept ? later : null
  }
  return null
}
