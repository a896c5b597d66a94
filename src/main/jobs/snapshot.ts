import type { AppErrorData } from '@shared/errors'
import type { JobEvent, JobOwner, JobResult, JobSnapshot, JobSpec } from '@shared/jobs'

/** Ceilings of what a snapshot carries: it is sent whole, up to ten times a second. */
export const SNAPSHOT_LIMITS = {
  /** Enough for every weight type's loss and held-out loss with room to spare. */
  series: 64,
  /** Wider than any chart that shows them is in pixels. */
  points: 1_000,
  log: 500,
  logText: 4_000,
} as const

/** What has been put in place of the old fields; the sequence number is the manager's business. */
type Change = Partial<Omit<JobSnapshot, 'id' | 'spec' | 'owner' | 'seq' | 'createdAt'>>

export function newSnapshot(id: string, spec: JobSpec, now: number, owner?: JobOwner): JobSnapshot {
  return {
    id,
    spec,
    ...(owner === undefined ? {} : { owner }),
    state: 'queued',
    seq: 0,
    createdAt: now,
    steps: [],
    progress: 0,
    series: {},
    log: [],
  }
}

/** Folds one event into a snapshot: pure, bounded, and overall progress never goes back. */
export function foldEvent(snapshot: JobSnapshot, event: JobEvent, now: number): JobSnapshot {
  return { ...snapshot, ...changeOf(snapshot, event, now), seq: snapshot.seq + 1 }
}

function changeOf(snapshot: JobSnapshot, event: JobEvent, now: number): Change {
  switch (event.type) {
    case 'plan':
      return { steps: event.steps.map((step) => ({ ...step, done: 0, total: 0 })) }
    case 'device':
      return { device: event.decision }
    case 'step': {
      const steps = snapshot.steps.map((step) =>
        step.id === event.id ? { ...step, done: event.done, total: event.total } : step,
      )
      return { steps, progress: Math.max(snapshot.progress, overall(steps)) }
    }
    case 'metric':
      return { series: appendPoints(snapshot.series, event) }
    case 'log': {
      const text = event.text.slice(0, SNAPSHOT_LIMITS.logText)
      const line = { at: now, level: event.level, text }
      return { log: [...snapshot.log, line].slice(-SNAPSHOT_LIMITS.log) }
    }
    case 'artifact':
      return {}
  }
}

export function started(snapshot: JobSnapshot, now: number): JobSnapshot {
  return { ...snapshot, state: 'running', startedAt: now, seq: snapshot.seq + 1 }
}

export function cancelling(snapshot: JobSnapshot): JobSnapshot {
  return { ...snapshot, state: 'cancelling', seq: snapshot.seq + 1 }
}

export function succeeded(snapshot: JobSnapshot, result: JobResult, now: number): JobSnapshot {
  const end = { state: 'succeeded', result, progress: 1, endedAt: now } as const
  return { ...snapshot, ...end, seq: snapshot.seq + 1 }
}

export function failed(snapshot: JobSnapshot, error: AppErrorData, now: number): JobSnapshot {
  return { ...snapshot, state: 'failed', error, endedAt: now, seq: snapshot.seq + 1 }
}

export function cancelled(snapshot: JobSnapshot, now: number): JobSnapshot {
  return { ...snapshot, state: 'cancelled', endedAt: now, seq: snapshot.seq + 1 }
}

/** The program ends while the job waits or runs. */
export function interrupted(snapshot: JobSnapshot, now: number): JobSnapshot {
  return { ...snapshot, state: 'interrupted', endedAt: now, seq: snapshot.seq + 1 }
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

function appendPoints(
  series: JobSnapshot['series'],
  event: Extract<JobEvent, { type: 'metric' }>,
): JobSnapshot['series'] {
  const known = Object.hasOwn(series, event.series) ? series[event.series] : undefined
  if (!known && Object.keys(series).length >= SNAPSHOT_LIMITS.series) return series
  const x = [...(known?.x ?? []), ...event.x].slice(-SNAPSHOT_LIMITS.points)
  const y = [...(known?.y ?? []), ...event.y].slice(-SNAPSHOT_LIMITS.points)
  return { ...series, [event.series]: { x, y } }
}
