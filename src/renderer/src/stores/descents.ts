import { isOver, type DescentResult, type JobSnapshot } from '@shared/jobs'
import type { ProjectId, RunId, RunSummary } from '@shared/projects'
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'
import { useChooserStore } from './chooser'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** Checkpoints that were trained elsewhere: choosing one and the run it came from, and what its training changed. */
export const useDescentsStore = defineStore('descents', () => {
  const client = useClient()
  const chooser = useChooserStore()
  const jobs = useJobsStore()
  const project = useProjectStore()

  const match = useLoadable((id: ProjectId, path: string) =>
    client.call('descents:match', id, path),
  )
  const descent = useLoadable((id: ProjectId, run: RunId) => client.call('descents:get', id, run))
  /** The folder that is being added; `null` while none is. */
  const path = ref<string | null>(null)
  /** What the person says, or the program found. */
  const start = ref<RunId | null>(null)
  const jobId = ref<string | null>(null)

  const job = computed<JobSnapshot | null>(
    () => jobs.all.find(({ id }) => id === jobId.value) ?? null,
  )
  const result = computed<DescentResult | null>(() =>
    job.value?.result?.kind === 'descent' ? job.value.result : null,
  )
  /** What has become of it, once the project says so. */
  const added = computed<RunSummary | null>(() =>
    result.value === null
      ? null
      : (project.runs.find(({ elsewhere }) => elsewhere?.path === result.value?.trained) ?? null),
  )
  /** From the answer on, which may come before what is told of the job. */
  const isComparing = computed(
    () => jobId.value !== null && (job.value === null || !isOver(job.value)),
  )
  const starts = computed(() =>
    (match.value.value?.runs ?? []).flatMap(
      (id) => project.runs.find((run) => run.id === id) ?? [],
    ),
  )

  /** Asks for a folder, and looks which run it can have come from. @throws AppError */
  async function choose(title: string): Promise<void> {
    const id = project.id
    const chosen = await chooser.folder({ title, purpose: 'model' })
    if (chosen === null || id === null) return
    path.value = chosen
    start.value = null
    jobId.value = null
    await match.load(id, chosen)
    start.value = match.value.value?.best ?? null
  }

  /** Compares it with its start; then it is a run. @throws AppError */
  async function add(): Promise<void> {
    const id = project.id
    if (id === null || path.value === null || start.value === null) return
    const started = await client.call('descents:start', id, { path: path.value, run: start.value })
    jobId.value = started.id
  }

  function close(): void {
    path.value = null
    jobId.value = null
    match.clear()
  }

  return {
    path,
    start,
    starts,
    match: match.value,
    matchError: match.error,
    isMatching: match.isLoading,
    job,
    result,
    added,
    isComparing,
    choose,
    add,
    close,
    descent: descent.value,
    descentError: descent.error,
    load: descent.load,
  }
})
