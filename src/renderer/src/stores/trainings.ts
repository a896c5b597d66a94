import { isOver, type JobChange, type JobSnapshot } from '@shared/jobs'
import type { ProjectId } from '@shared/projects'
import type {
  TrainingDetail,
  TrainingId,
  TrainingRequest,
  TrainingSummary,
} from '@shared/trainings'
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import { useClient } from '../api/client'
import { addRatePoint, rateOf, stepsDone, type RatePoint } from '../lib/curves'
import { useLoadable } from '../lib/loadable'
import { MAX_POINTS, useRecordedCurves } from '../lib/recordedCurves'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** The trainings of the project that is open: starting them, and watching one of them. */
export const useTrainingsStore = defineStore('trainings', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const project = useProjectStore()

  /** Trainings of two projects may be called the same. */
  const watching = shallowRef<{
    readonly project: ProjectId
    readonly training: TrainingId
  } | null>(null)
  /** Answers about trainings arrive before the project's own view of them does. */
  const latest = shallowRef<{
    readonly project: ProjectId
    readonly training: TrainingSummary
  } | null>(null)
  const ratePoints = shallowRef<readonly RatePoint[]>([])

  const detail = useLoadable<TrainingDetail, [ProjectId, TrainingId]>((id, training) =>
    client.call('trainings:get', id, training),
  )
  const recorded = useRecordedCurves((id: ProjectId, training: TrainingId) =>
    client.call('trainings:series', id, training, { maxPoints: MAX_POINTS }),
  )
  /** The limit is the program's, which knows it; an estimate is one for that limit. */
  const estimate = useLoadable((id: ProjectId, request: TrainingRequest, _limit: number | null) =>
    client.call('trainings:estimate', id, request),
  )

  const list = computed<readonly TrainingSummary[]>(() => project.view?.trainings ?? [])
  const watchedId = computed(() =>
    watching.value?.project === project.id ? watching.value.training : null,
  )
  const watched = computed(() => (watchedId.value === null ? null : find(watchedId.value)))
  const job = computed(() => jobOf(watched.value))
  /** Optimiser steps a second, of whichever model is trained now; `null` while none is. */
  const stepsPerSecond = computed(() =>
    job.value?.state === 'running' ? rateOf(ratePoints.value) : null,
  )

  jobs.follow(follow)

  function find(id: TrainingId): TrainingSummary | null {
    const known = list.value.find((training) => training.id === id)
    if (known) return known
    return latest.value?.project === project.id && latest.value.training.id === id
      ? latest.value.training
      : null
  }

  /** The job that carries out (or did) a training, as long as the program remembers it. */
  function jobOf(training: TrainingSummary | null): JobSnapshot | null {
    return training?.job ? (jobs.all.find(({ id }) => id === training.job) ?? null) : null
  }

  /** Shows a training: what is kept of it is asked for, and its job is followed. */
  async function show(training: TrainingId | null): Promise<void> {
    const id = project.id
    const isSame = training === watching.value?.training && id === watching.value.project
    watching.value = training === null || id === null ? null : { project: id, training }
    if (!isSame) {
      detail.clear()
      recorded.clear()
      ratePoints.value = []
    }
    if (training === null || id === null) return
    await Promise.all([detail.load(id, training), recorded.load(id, training)])
  }

  function follow(changed: JobSnapshot, changes: readonly JobChange[] | null): void {
    const { owner } = changed
    const training = watchedId.value
    if (training === null || owner?.project !== project.id || owner.training !== training) return
    if (changes) recorded.add(changes)
    ratePoints.value = addRatePoint(ratePoints.value, {
      at: Date.now(),
      count: stepsDone(changed.series),
    })
    if (isOver(changed)) void show(training)
    else if (!changes) void recorded.load(owner.project, training)
  }

  /** Queues a training, and what has to be grown before it. @throws AppError */
  async function start(request: TrainingRequest): Promise<TrainingSummary> {
    return accept(await client.call('trainings:start', current(), request))
  }

  /** Goes on from the last state that was kept. @throws AppError */
  async function resume(training: TrainingId): Promise<TrainingSummary> {
    return accept(await client.call('trainings:resume', current(), training))
  }

  /** @throws AppError */
  async function rename(training: TrainingId, name: string): Promise<void> {
    project.accept(await client.call('trainings:rename', current(), training, name))
  }

  /** @throws AppError */
  async function remove(training: TrainingId): Promise<void> {
    project.accept(await client.call('trainings:delete', current(), training))
  }

  function accept(training: TrainingSummary): TrainingSummary {
    latest.value = { project: current(), training }
    return training
  }

  function current(): ProjectId {
    if (project.id === null) throw new Error('No project is open.')
    return project.id
  }

  return {
    list,
    watchedId,
    watched,
    job,
    detail: detail.value,
    detailError: detail.error,
    curves: recorded.curves,
    curvesError: recorded.error,
    areCurvesLoading: recorded.isLoading,
    stepsPerSecond,
    estimate: estimate.value,
    estimateError: estimate.error,
    isEstimating: estimate.isLoading,
    loadEstimate: estimate.load,
    clearEstimate: estimate.clear,
    find,
    jobOf,
    show,
    start,
    resume,
    rename,
    remove,
  }
})
