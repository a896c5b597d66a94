import type { DeviceChoice } from '@shared/devices'
import { isOver, type JobSnapshot } from '@shared/jobs'
import type { ProjectId } from '@shared/projects'
import { defineStore } from 'pinia'
import { computed, watch } from 'vue'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** What was measured of the places in the open project's model. */
export const usePlacesStore = defineStore('places', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const project = useProjectStore()
  const measured = useLoadable((id: ProjectId, _model: string | undefined) =>
    client.call('projects:places', id),
  )

  /** The measurement that was asked for last, running or over. */
  const job = computed<JobSnapshot | null>(
    () =>
      jobs.all.find(({ spec, owner }) => spec.kind === 'place' && owner?.project === project.id) ??
      null,
  )
  const isRunning = computed(() => job.value !== null && !isOver(job.value))

  // The project changes when a measurement has been kept.
  watch(
    [() => project.view, () => project.model?.path],
    ([view, path]) => {
      if (view) void measured.load(view.id, path)
      else measured.clear()
    },
    { immediate: true },
  )

  /** @throws AppError */
  async function measure(text: string, blocks: number, device: DeviceChoice): Promise<void> {
    if (project.id === null) throw new Error('No project is open.')
    await client.call('projects:measurePlaces', project.id, { text, blocks, device })
  }

  return { measured: measured.value, error: measured.error, job, isRunning, measure }
})
