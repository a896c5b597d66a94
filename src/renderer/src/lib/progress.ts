import type { JobSnapshot, JobState } from '@shared/jobs'

export { remainingMs } from '@shared/jobs'

export const STATE_NAMES: Readonly<Record<JobState, string>> = {
  queued: 'Waiting',
  running: 'Running',
  pausing: 'Pausing',
  cancelling: 'Cancelling',
  succeeded: 'Finished',
  failed: 'Failed',
  cancelled: 'Cancelled',
  paused: 'Paused',
  interrupted: 'Interrupted',
}

export const STATE_TONES: Readonly<
  Record<JobState, 'neutral' | 'accent' | 'success' | 'warning' | 'danger'>
> = {
  queued: 'neutral',
  running: 'accent',
  pausing: 'accent',
  cancelling: 'warning',
  succeeded: 'success',
  failed: 'danger',
  cancelled: 'neutral',
  paused: 'neutral',
  interrupted: 'warning',
}

export const STATE_ICONS = {
  queued: 'wait',
  running: 'play',
  pausing: 'wait',
  cancelling: 'wait',
  succeeded: 'check',
  failed: 'error',
  cancelled: 'stop',
  paused: 'wait',
  interrupted: 'warning',
} as const

/** `null` before the start. Clocks may differ when the page comes from another machine: never negative. */
export function elapsedMs(job: JobSnapshot, now: number): number | null {
  if (job.startedAt === undefined) return null
  return Math.max(0, (job.endedAt ?? now) - job.startedAt)
}
