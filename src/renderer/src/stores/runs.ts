import { toAppError, type AppErrorData } from '@shared/errors'
import { isOver, type JobSnapshot } from '@shared/jobs'
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
import { useLoadable } from '../lib/loadable'
import {
  addRatePoint,
  appendLatest,
  rateOf,
  stepsDone,
  type Curves,
  type RatePoint,
} from '../views/run/series'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** Points asked for of each series: more than a chart has pixels, few enough to be sent at once. */
const MAX_POINTS = 100_000

/** The runs of the project that is open: starting them, watching one of them, and the queue. */
export const useRunsStore = defineStore('runs', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const project = useProjectStore()

  const watchedId = ref<RunId | null>(null)
  /** Answers about runs arrive before the project's own view of them does. */
  const latest = shallowRef<RunSummary | null>(null)
  const curves = shallowRef<Curves>({})
  const curvesError = shallowRef<AppErrorData | null>(null)
  const ratePoints = shallowRef<readonly RatePoint[]>([])
  /** Ids of the jobs that wait, in the order in which they will be run. */
  const order = ref<readonly string[]>([])

  const detail = useLoadable<RunDetail, [ProjectId, RunId]>((id, run) =>
    client.call('runs:get', id, run),
  )
  const estimate = useLoadable((id: ProjectId, settings: RunSettings) =>
    client.call('runs:estimate', id, settings),
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

  client.subscribe('jobs:changed', follow)

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
    return (
      project.runs.find((run) => run.id === id) ?? (latest.value?.id === id ? latest.value : null)
    )
  }

  /** The job that computes (or computed) a run, as long as the program remembers it. */
  function jobOf(run: RunSummary | null): JobSnapshot | null {
    return run?.job ? (jobs.all.find(({ id }) => id === run.job) ?? null) : null
  }

  /** Shows a run: what is kept of it is asked for, and its job is followed. */
  async function show(run: RunId | null): Promise<void> {
    const id = project.id
    const isSame = run === watchedId.value
    watchedId.value = run
    if (!isSame) forgetNumbers()
    if (run === null || id === null) return
    await Promise.all([detail.load(id, run), loadCurves(id, run)])
  }

  function forgetNumbers(): void {
    detail.clear()
    curves.value = {}
    curvesError.value = null
    ratePoints.value = []
  }

  async function loadCurves(id: ProjectId, run: RunId): Promise<void> {
    try {
      const { series } = await client.call('runs:series', id, run, { maxPoints: MAX_POINTS })
      if (run !== watchedId.value) return
      // What arrived while the answer was on its way is not lost.
      curves.value = appendLatest(series, job.value?.series ?? {})
      curvesError.value = null
    } catch (thrown) {
      if (run === watchedId.value) curvesError.value = toAppError(thrown).toData()
    }
  }

  function follow(snapshot: JobSnapshot): void {
    const { owner } = snapshot
    if (!owner || owner.project !== project.id || owner.run !== watchedId.value) return
    if (snapshot.spec.kind === 'export') return
    curves.value = appendLatest(curves.value, snapshot.series)
    ratePoints.value = addRatePoint(ratePoints.value, {
      at: Date.now(),
      count: stepsDone(snapshot.series),
    })
    if (isOver(snapshot)) void show(watchedId.value)
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

  /** Starts from nothing, with the same settings. @throws AppError */
  async function retry(run: RunId): Promise<RunSummary> {
    if (run === watchedId.value) forgetNumbers()
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
    latest.value = run
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
    curves,
    curvesError,
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
