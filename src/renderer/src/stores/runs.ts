import { isOver, type JobChange, type JobSnapshot } from '@shared/jobs'
import type {
  ProjectId,
  ProjectView,
  RunDetail,
  RunId,
  RunSettings,
  RunSummary,
} from '@shared/projects'
import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import { useClient } from '../api/client'
import { addRatePoint, rateOf, stepsDone, type RatePoint } from '../lib/curves'
import { useLoadable } from '../lib/loadable'
import { MAX_POINTS, useRecordedCurves } from '../lib/recordedCurves'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** The runs of the project that is open: starting them, watching one of them, and the queue. */
export const useRunsStore = defineStore('runs', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const project = useProjectStore()

  /** Runs of two projects may be called the same. */
  const watching = shallowRef<{ readonly project: ProjectId; readonly run: RunId } | null>(null)
  /** Answers about runs arrive before the project's own view of them does. */
  const latest = shallowRef<{ readonly project: ProjectId; readonly run: RunSummary } | null>(null)
  const recorded = useRecordedCurves((id: ProjectId, run: RunId) =>
    client.call('runs:series', id, run, { maxPoints: MAX_POINTS }),
  )
  const ratePoints = shallowRef<readonly RatePoint[]>([])
  /** Ids of the jobs that wait, in the order in which they will be run. */
  const order = ref<readonly string[]>([])

  const detail = useLoadable<RunDetail, [ProjectId, RunId]>((id, run) =>
    client.call('runs:get', id, run),
  )
  /** The limit is the program's, which knows it; an estimate is one for that limit. */
  const estimate = useLoadable((id: ProjectId, settings: RunSettings, _limit: number | null) =>
    client.call('runs:estimate', id, settings),
  )

  const watchedId = computed(() =>
    watching.value?.project === project.id ? watching.value.run : null,
  )
  const watched = computed(() => (watchedId.value === null ? null : find(watchedId.value)))
  const job = computed(() => jobOf(watched.value))
  /** Training steps a second, all weight types together; `null` while nothing trains. */
  const stepsPerSecond = computed(() =>
    job.value?.state === 'running' ? rateOf(ratePoints.value) : null,
  )
  const queued = computed(() => {
    const waiting = jobs.all.filter(({ state }) => state === 'queued')
    const place = (id: string): number => {
      const index = order.value.indexOf(id)
      return index < 0 ? Infinity : index
    }
    return waiting.sort((a, b) => place(a.id) - place(b.id) || a.createdAt - b.createdAt)
  })

  jobs.follow(follow)

  // What the program knows the order of is asked for when other jobs wait than before.
  watch(
    () =>
      queued.value
        .map(({ id }) => id)
        .sort()
        .join(),
    (ids) => {
      if (ids !== '') void refreshOrder()
    },
    { immediate: true },
  )

  function find(id: RunId): RunSummary | null {
    const known = project.runs.find((run) => run.id === id)
    if (known) return known
    return latest.value?.project === project.id && latest.value.run.id === id
      ? latest.value.run
      : null
  }

  /** The job that computes (or computed) a run, as long as the program remembers it. */
  function jobOf(run: RunSummary | null): JobSnapshot | null {
    return run?.job ? (jobs.all.find(({ id }) => id === run.job) ?? null) : null
  }

  /** Shows a run: what is kept of it is asked for, and its job is followed. */
  async function show(run: RunId | null): Promise<void> {
    const id = project.id
    const isSame = run === watching.value?.run && id === watching.value.project
    watching.value = run === null || id === null ? null : { project: id, run }
    if (!isSame) forgetNumbers()
    if (run === null || id === null) return
    await Promise.all([detail.load(id, run), recorded.load(id, run)])
  }

  function forgetNumbers(): void {
    detail.clear()
    recorded.clear()
    ratePoints.value = []
  }

  function follow(job: JobSnapshot, changes: readonly JobChange[] | null): void {
    const { owner, spec } = job
    const run = watchedId.value
    if (run === null || owner?.project !== project.id || owner.run !== run) return
    if (spec.kind === 'export') return
    if (changes) recorded.add(changes)
    ratePoints.value = addRatePoint(ratePoints.value, {
      at: Date.now(),
      count: stepsDone(job.series),
    })
    if (isOver(job)) void show(run)
    else if (!changes) void recorded.load(owner.project, run)
  }

  /** Queues a run. @throws AppError */
  async function start(settings: RunSettings, name?: string): Promise<RunSummary> {
    const options = name === undefined ? { settings } : { settings, name }
    return accept(await client.call('runs:start', current(), options))
  }

  /** Goes on from the stages that were finished. @throws AppError */
  async function resume(run: RunId): Promise<RunSummary> {
    return accept(await client.call('runs:resume', current(), run))
  }

  /** Runs the same once more; a run that has ended well stays, and the answer is a new one. @throws AppError */
  async function retry(run: RunId): Promise<RunSummary> {
    return accept(await client.call('runs:retry', current(), run))
  }

  /** @throws AppError */
  async function remove(run: RunId): Promise<void> {
    acceptProject(await client.call('runs:delete', current(), run))
  }

  /** Deletes the grown checkpoint only. @throws AppError */
  async function removeModel(run: RunId): Promise<void> {
    acceptProject(await client.call('runs:deleteModel', current(), run))
  }

  /** Moves a waiting job one place up or down. @throws AppError */
  async function move(id: string, by: -1 | 1): Promise<void> {
    const ids = queued.value.map((waiting) => waiting.id)
    const at = ids.indexOf(id)
    const to = at + by
    if (at < 0 || to < 0 || to >= ids.length) return
    const before = by < 0 ? ids[to] : ids[to + 1]
    const list = await client.call('jobs:moveBefore', id, before ?? null)
    order.value = list.map((snapshot) => snapshot.id)
  }

  async function refreshOrder(): Promise<void> {
    try {
      order.value = (await client.call('jobs:list')).map(({ id }) => id)
    } catch {
      // Without an answer they stay in the order in which they were started.
    }
  }

  function accept(run: RunSummary): RunSummary {
    latest.value = { project: current(), run }
    return run
  }

  function acceptProject(view: ProjectView): void {
    project.accept(view)
  }

  function current(): ProjectId {
    if (project.id === null) throw new Error('No project is open.')
    return project.id
  }

  return {
    watchedId,
    watched,
    job,
    detail: detail.value,
    detailError: detail.error,
    isDetailLoading: detail.isLoading,
    curves: recorded.curves,
    curvesError: recorded.error,
    areCurvesLoading: recorded.isLoading,
    stepsPerSecond,
    estimate: estimate.value,
    estimateError: estimate.error,
    isEstimating: estimate.isLoading,
    loadEstimate: estimate.load,
    queued,
    find,
    jobOf,
    show,
    start,
    resume,
    retry,
    remove,
    removeModel,
    move,
  }
})
