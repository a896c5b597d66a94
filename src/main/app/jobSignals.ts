import { isActive, kindOf, type JobState } from '@shared/jobs'
import { formatDuration } from '@shared/units'
import type { JobManager } from '../jobs/JobManager'

/** A shorter job has been watched to its end; nobody needs to be called back. */
const LONG_JOB_MS = 20_000

/** What of Electron this needs: the taskbar or dock, and the system's notifications. */
export interface SignalTargets {
  /** 0 … 1, or −1 for none. */
  readonly setProgress: (progress: number) => void
  readonly isFocused: () => boolean
  readonly notify: (title: string, body: string) => void
}

const ENDINGS: Readonly<Partial<Record<JobState, string>>> = {
  succeeded: 'Finished',
  failed: 'Failed',
}

/** Shows the running job on the taskbar or dock, and tells of a long job's end while the window is elsewhere. */
export function signalJobs(
  jobs: Pick<JobManager, 'subscribe'>,
  targets: SignalTargets,
): () => void {
  const running = new Map<string, number>()
  return jobs.subscribe((job) => {
    const isRunning = isActive(job.state)
    const wasRunning = running.has(job.id)
    if (isRunning) running.set(job.id, job.progress)
    else running.delete(job.id)
    // With several at once the one that is farthest behind counts.
    targets.setProgress(running.size === 0 ? -1 : Math.min(...running.values()))
    const ending = ENDINGS[job.state]
    const elapsedMs = (job.endedAt ?? 0) - (job.startedAt ?? Infinity)
    if (ending === undefined || !wasRunning || elapsedMs < LONG_JOB_MS || targets.isFocused())
      return
    targets.notify(
      `${ending}: ${kindOf(job.spec).doing}`,
      job.error?.message ?? `It took ${formatDuration(elapsedMs)}.`,
    )
  })
}
