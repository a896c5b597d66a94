import { isOver, type GenerateSpec, type JobSnapshot } from '@shared/jobs'
import type { ContinuationRequest, ProjectId } from '@shared/projects'
import { useSessionStorage } from '@vueuse/core'
import { defineStore } from 'pinia'
import { computed } from 'vue'
import { useClient } from '../api/client'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** The texts that the open project's models have continued, as long as the program remembers them. */
export const useContinuationsStore = defineStore('continuations', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const project = useProjectStore()

  /** What was written in the form, by project, for as long as the window's session lasts. */
  const prompts = useSessionStorage<Record<ProjectId, string>>('lesa.prompts', {})
  const prompt = computed({
    get: () => prompts.value[project.id ?? ''] ?? '',
    set: (text) => {
      if (project.id !== null) prompts.value = { ...prompts.value, [project.id]: text }
    },
  })

  /** The newest, finished or not. */
  const job = computed<JobSnapshot | null>(
    () =>
      jobs.all.find(
        ({ spec, owner }) => spec.kind === 'generate' && owner?.project === project.id,
      ) ?? null,
  )
  const spec = computed<GenerateSpec | null>(() =>
    job.value?.spec.kind === 'generate' ? job.value.spec : null,
  )
  const isOpen = computed(() => job.value !== null && !isOver(job.value))

  /** What people call each of its models. */
  const names = computed(() => (spec.value?.models ?? []).map(nameOf))

  function nameOf(path: string): string {
    const base = project.view?.model
    if (base?.path === path) return base.name
    return project.runs.find(({ model }) => model?.path === path)?.name ?? path
  }

  /** @throws AppError */
  async function start(request: ContinuationRequest): Promise<void> {
    if (project.id === null) throw new Error('No project is open.')
    await client.call('continuations:start', project.id, request)
  }

  return { prompt, job, spec, isOpen, names, start }
})
