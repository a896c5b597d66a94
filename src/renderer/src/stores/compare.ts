import { isOver, type JobSnapshot } from '@shared/jobs'
import type { EvaluationRequest, ProjectId, Subject } from '@shared/projects'
import { useSessionStorage } from '@vueuse/core'
import { defineStore } from 'pinia'
import { computed } from 'vue'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** The comparison of the open project's runs, and the measurements that fill it. */
export const useCompareStore = defineStore('compare', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const project = useProjectStore()
  const comparison = useLoadable((id: ProjectId, subjects?: readonly Subject[]) =>
    subjects
      ? client.call('projects:compare', id, [...subjects])
      : client.call('projects:compare', id),
  )

  /** Subjects that are not compared, by project, for as long as the window's session lasts. */
  const hidden = useSessionStorage<Record<ProjectId, readonly Subject[]>>('lesa.compared', {})
  const unchosen = computed<readonly Subject[]>({
    get: () => hidden.value[project.id ?? ''] ?? [],
    set: (subjects) => {
      if (project.id !== null) hidden.value = { ...hidden.value, [project.id]: subjects }
    },
  })

  /** Measurements of this project that have not ended, newest first. */
  const open = computed<readonly JobSnapshot[]>(() =>
    jobs.all.filter(
      (job) => job.spec.kind === 'evaluate' && job.owner?.project === project.id && !isOver(job),
    ),
  )
  /** The measurement that ended last, for what it has to say. */
  const last = computed<JobSnapshot | null>(
    () =>
      jobs.all.find(
        (job) => job.spec.kind === 'evaluate' && job.owner?.project === project.id && isOver(job),
      ) ?? null,
  )

  /** @throws AppError */
  async function evaluate(request: EvaluationRequest): Promise<JobSnapshot> {
    if (project.id === null) throw new Error('No project is open.')
    return client.call('evaluations:start', project.id, request)
  }

  return {
    comparison: comparison.value,
    error: comparison.error,
    isLoading: comparison.isLoading,
    load: comparison.load,
    clear: comparison.clear,
    unchosen,
    open,
    last,
    evaluate,
  }
})
