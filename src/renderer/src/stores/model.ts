import { AppError, toAppError, type AppErrorData } from '@shared/errors'
import { isOver } from '@shared/jobs'
import { modelLabelOf } from '@shared/hub'
import type { ModelConfigText, ModelSummary } from '@shared/model'
import type { StatisticsState, TensorDetails, TensorTable } from '@shared/statistics'
import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch, type ShallowRef } from 'vue'
import { useClient } from '../api/client'
import { useJobsStore } from './jobs'

/** A part of a model that is asked for when somebody looks at it. */
export interface Part<T> {
  readonly value: T | null
  readonly error: AppErrorData | null
}

const NOTHING = { value: null, error: null } as const

/** The model that is looked at: the project's, or one that was opened by itself. */
export const useModelStore = defineStore('model', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const path = ref('')
  const summary = shallowRef<ModelSummary | null>(null)
  const error = shallowRef<AppErrorData | null>(null)
  const isLoading = ref(false)
  const config = shallowRef<Part<ModelConfigText>>(NOTHING)
  const tensors = shallowRef<Part<TensorTable>>(NOTHING)
  const statistics = shallowRef<Part<StatisticsState>>(NOTHING)
  /** The tensor that is looked at, and what is known of its values. */
  const tensorName = ref<string | null>(null)
  const tensor = shallowRef<Part<TensorDetails>>(NOTHING)
  /** Tells a late answer from the newest one. */
  let latest = 0

  const name = computed(() => modelLabelOf(path.value))
  /** The job that computes the statistics, while it is known. */
  const statisticsJob = computed(() => {
    const state = statistics.value.value
    return state?.state === 'running' ? (jobs.all.find(({ id }) => id === state.job) ?? null) : null
  })

  /** Inspects a folder; what goes wrong is in `error`. */
  async function open(asked: string): Promise<void> {
    const request = reset(asked.trim())
    if (path.value === '') return
    isLoading.value = true
    try {
      const found = await client.call('models:inspect', path.value)
      if (request !== latest) return
      summary.value = found
      path.value = found.path
    } catch (thrown) {
      if (request === latest) error.value = toAppError(thrown).toData()
    } finally {
      if (request === latest) isLoading.value = false
    }
  }

  /** Looks at a model that has been inspected already: the project's. */
  function show(known: ModelSummary): void {
    if (summary.value === known) return
    // The same checkpoint told anew: what is known of it stays.
    const isSame = summary.value !== null && path.value === known.path && fits(summary.value, known)
    if (!isSame) reset(known.path)
    summary.value = known
  }

  function reset(to: string): number {
    latest += 1
    path.value = to
    summary.value = null
    error.value = null
    isLoading.value = false
    config.value = NOTHING
    tensors.value = NOTHING
    statistics.value = NOTHING
    tensorName.value = null
    tensor.value = NOTHING
    return latest
  }

  /** Fills a part once; an error is kept beside it, and asking again tries again. */
  async function fill<T>(part: ShallowRef<Part<T>>, ask: () => Promise<T>): Promise<void> {
    const request = latest
    try {
      const value = await ask()
      if (request === latest) part.value = { value, error: null }
    } catch (thrown) {
      if (request === latest) part.value = { value: null, error: toAppError(thrown).toData() }
    }
  }

  async function loadConfig(): Promise<void> {
    if (config.value.value === null)
      await fill(config, () => client.call('models:config', path.value))
  }

  async function loadTensors(): Promise<void> {
    if (tensors.value.value === null) {
      await fill(tensors, () => client.call('models:tensors', path.value))
    }
  }

  /** Looks at one tensor; the answer for another that was asked for before it is not taken. */
  async function loadTensor(name: string | null): Promise<void> {
    if (name === tensorName.value && tensor.value.error === null) return
    tensorName.value = name
    tensor.value = NOTHING
    if (name === null) return
    const part = shallowRef<Part<TensorDetails>>(NOTHING)
    await fill(part, () => client.call('models:tensor', path.value, name))
    if (tensorName.value === name && part.value !== NOTHING) tensor.value = part.value
  }

  async function loadStatistics(): Promise<void> {
    await fill(statistics, () => client.call('models:statistics', path.value))
  }

  /** Starts the job that computes them, or finds the one that does. */
  async function computeStatistics(): Promise<void> {
    await fill(statistics, async () => {
      const { id } = await client.call('models:computeStatistics', path.value)
      await jobs.load()
      return { state: 'running' as const, job: id }
    })
  }

  watch(statisticsJob, (job) => {
    if (!job || !isOver(job)) return
    if (job.state === 'succeeded') void loadStatistics()
    else if (job.error && job.state === 'failed') {
      statistics.value = { value: null, error: AppError.fromData(job.error).toData() }
    } else statistics.value = { value: { state: 'absent' }, error: null }
  })

  return {
    path,
    name,
    summary,
    error,
    isLoading,
    config,
    tensors,
    statistics,
    tensorName,
    tensor,
    loadTensor,
    statisticsJob,
    open,
    show,
    loadConfig,
    loadTensors,
    loadStatistics,
    computeStatistics,
  }
})

function fits(a: ModelSummary, b: ModelSummary): boolean {
  return a.bytes === b.bytes && a.tensors === b.tensors && a.parameters === b.parameters
}
