import type { JobSnapshot, JobState } from '@shared/jobs'

export const STATE_NAMES: Readonly<Record<JobState, string>> = {
  queued: 'Waiting',
  running: 'Running',
  cancelling: 'Cancelling',
  succeeded: 'Finished',
  failed: 'Failed',
  cancelled: 'Cancelled',
  interrupted: 'Interrupted',
}

/** Earlier than this an estimate would jump about. */
const ESTIMATE_FROM = { progress: 0.05, elapsedMs: 3_000 } as const

/** `null` before the start. Clocks may differ when the page comes from another machine: never negative. */
export function elapsedMs(job: JobSnapshot, now: number): number | null {
  if (job.startedAt === undefined) return null
  return Math.max(0, (job.endedAt ?? now) - job.startedAt)
}

/** Time left if the rest goes as fast as what is done; `null` while that is anyone's guess. */
export function remainingMs(job: JobSnapshot, now: number): number | null {
  const elapsed = elapsedMs(job, now)
  if (job.state !== 'running' || elapsed === null) return null
  if (job.progress < ESTIMATE_FROM.progress || elapsed < ESTIMATE_FROM.elapsedMs) return null
  return (elapsed * (1 - job.progress)) / job.progress
}
