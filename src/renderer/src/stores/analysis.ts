import type { ProjectionMethod, RunAnalysis } from '@shared/analysis'
import type { ProjectId, RunId } from '@shared/projects'
import { defineStore } from 'pinia'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'

/** What a projection is asked for with. */
export interface ProjectionRequest {
  readonly type: string
  readonly method: ProjectionMethod
  readonly seed: number
  readonly perplexity?: number
}

/** The pictures of one run: what is kept of it, and the projection that is looked at. */
export const useAnalysisStore = defineStore('analysis', () => {
  const client = useClient()
  const analysis = useLoadable<RunAnalysis | null, [ProjectId, RunId]>((project, run) =>
    client.call('runs:analysis', project, run),
  )
  const projection = useLoadable(
    (project: ProjectId, run: RunId, request: ProjectionRequest) =>
      client.call('runs:projection', project, run, request),
    // Another seed moves the points of the same picture, which stays until it has.
    (project, run, { type, method }) => [project, run, type, method],
  )

  return {
    analysis: analysis.value,
    error: analysis.error,
    isLoading: analysis.isLoading,
    load: analysis.load,
    clear: analysis.clear,
    projection: projection.value,
    projectionError: projection.error,
    isProjecting: projection.isLoading,
    loadProjection: projection.load,
    clearProjection: projection.clear,
  }
})
