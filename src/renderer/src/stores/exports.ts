import type { ExportOptions } from '@shared/exports'
import type { JobSnapshot } from '@shared/jobs'
import type { ProjectId, RunId } from '@shared/projects'
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** Exports of the open project's runs: what one would be, and those that were started here. */
export const useExportsStore = defineStore('exports', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const project = useProjectStore()
  /** Where the next export goes; the last one that was chosen. */
  const folder = ref<string | null>(null)
  const preview = useLoadable((id: ProjectId, run: RunId, options: ExportOptions) =>
    client.call('exports:preview', id, run, options),
  )

  /** A run's latest export, running or ended, as long as the program remembers it. */
  function jobOf(run: RunId): JobSnapshot | null {
    return (
      jobs.all.find(
        ({ spec, owner }) =>
          spec.kind === 'export' && owner?.project === project.id && owner.run === run,
      ) ?? null
    )
  }

  /** @throws AppError */
  async function start(run: RunId, options: ExportOptions): Promise<JobSnapshot> {
    if (project.id === null) throw new Error('No project is open.')
    return client.call('exports:start', project.id, run, options)
  }

  return {
    folder,
    preview: preview.value,
    error: preview.error,
    isLoading: preview.isLoading,
    loadPreview: preview.load,
    clearPreview: preview.clear,
    jobOf,
    start,
  }
})
