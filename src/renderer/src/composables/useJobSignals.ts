import { describeJob, isActive, isOver, type JobSnapshot } from '@shared/jobs'
import { formatDuration } from '@shared/units'
import { computed, watch } from 'vue'
import { STATE_NAMES } from '../lib/progress'
import { useAppStore } from '../stores/app'
import { useJobsStore } from '../stores/jobs'
import { useProjectStore } from '../stores/project'

/** A shorter job has been watched to its end; nobody needs to be called back. */
const LONG_JOB_MS = 20_000

/**
 * What a tab can say while one looks elsewhere: how far the running job is, in its title, and that a long one has ended,
 * as a notification where those are allowed. The desktop's window has its own.
 */
export function useJobSignals(): void {
  const app = useAppStore()
  const jobs = useJobsStore()
  const project = useProjectStore()

  const share = computed(() => {
    const running = jobs.all.filter(({ state }) => isActive(state))
    // With several at once the one that is farthest behind counts.
    return running.length === 0 ? null : Math.min(...running.map(({ progress }) => progress))
  })
  const title = computed(() =>
    [
      ...(share.value === null ? [] : [`${Math.floor(share.value * 100)} %`]),
      ...(project.view ? [project.view.name] : []),
      'LESA Workbench',
    ].join(' – '),
  )
  watch(title, (text) => (document.title = text), { immediate: true })

  const running = new Set<string>()
  jobs.follow((job) => {
    if (isOver(job) && running.delete(job.id)) tell(job)
    else if (job.state === 'running') running.add(job.id)
  })

  function tell(job: JobSnapshot): void {
    const took = (job.endedAt ?? 0) - (job.startedAt ?? Infinity)
    const isOurs = app.info?.host === 'browser' && document.hidden && took >= LONG_JOB_MS
    if (!isOurs || job.state === 'cancelled' || !mayNotify()) return
    const body = job.error?.message ?? `It took ${formatDuration(took)}.`
    new Notification(`${STATE_NAMES[job.state]}: ${describeJob(job)}`, { body })
  }
}

/** Whether the browser has been told that notifications are welcome. */
export function mayNotify(): boolean {
  return 'Notification' in window && Notification.permission === 'granted'
}
