import { DEFAULT_EXPORT, type CardEdits, type ExportOptions } from '@shared/exports'
import { DEFAULT_SHARD_BYTES, type JobSnapshot, type OutputDtype } from '@shared/jobs'
import type { ProjectId, RunId } from '@shared/projects'
import { formatBytes } from '@shared/units'
import { defineStore } from 'pinia'
import { reactive, ref } from 'vue'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'
import { useJobsStore } from './jobs'
import { useProjectStore } from './project'

/** What a person enters for an export. */
export interface ExportForm {
  /** Empty for the suggested one. */
  name: string
  dtype: OutputDtype
  allowOverflow: boolean
  shard: string
  card: CardEdits
  /** Whether training recipes are written beside the weights. */
  recipes: boolean
  /** Ids of the measurements that are published; `null` for those that say something. */
  measurements: readonly string[] | null
}

function newForm(): ExportForm {
  return {
    name: '',
    dtype: DEFAULT_EXPORT.dtype,
    allowOverflow: false,
    shard: formatBytes(DEFAULT_SHARD_BYTES).replace('.00', ''),
    card: {},
    recipes: true,
    measurements: null,
  }
}

/** Exports of the open project's runs: what one would be, and those that were started here. */
export const useExportsStore = defineStore('exports', () => {
  const client = useClient()
  const jobs = useJobsStore()
  const project = useProjectStore()
  /** Where the next export goes; the last one that was chosen. */
  const folder = ref<string | null>(null)
  const forms = reactive(new Map<string, ExportForm>())

  /** What was entered for a run's export; it stays while the program is open. */
  function formOf(run: RunId): ExportForm {
    const key = `${project.id} ${run}`
    const form = forms.get(key) ?? newForm()
    if (!forms.has(key)) forms.set(key, form)
    return forms.get(key) ?? form
  }
  const preview = useLoadable((id: ProjectId, run: RunId, options: ExportOptions) =>
    client.call('exports:preview', id, run, options),
  )

  const recipes = useLoadable((id: ProjectId, run: RunId, out: string) =>
    client.call('exports:recipes', id, run, out),
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
    formOf,
    preview: preview.value,
    error: preview.error,
    isLoading: preview.isLoading,
    loadPreview: preview.load,
    clearPreview: preview.clear,
    recipes: recipes.value,
    recipesError: recipes.error,
    loadRecipes: recipes.load,
    jobOf,
    start,
  }
})
