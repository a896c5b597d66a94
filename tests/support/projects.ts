import type { ExpandResult, JobSnapshot } from '@shared/jobs'
import { DEFAULT_DRAFT, runSettingsOf, type ProjectView, type RunSummary } from '@shared/projects'
import { snapshot } from './handlers'
import { modelSummary } from './summaries'

export const PROJECT_ID = '0123456789abcdef'

/** A run of LESA that is under way. */
export function runSummary(changes: Partial<RunSummary> = {}): RunSummary {
  return {
    id: '001-lesa',
    name: 'LESA',
    method: 'lesa',
    state: 'running',
    job: 'job-1',
    createdAt: 1,
    startedAt: 2,
    endedAt: null,
    earlierMs: 0,
    settings: runSettingsOf(DEFAULT_DRAFT),
    layersBefore: 12,
    layersAfter: 18,
    newLayers: [6, 8, 10, 12, 14, 16],
    device: null,
    result: null,
    error: null,
    model: null,
    hasAnalysis: false,
    canResume: false,
    isOfThisModel: true,
    exports: [],
    training: null,
    elsewhere: null,
    ...changes,
  }
}

/** What a run's job returned. */
export function expandResult(changes: Partial<ExpandResult> = {}): ExpandResult {
  return {
    kind: 'expand',
    out: '/o',
    method: 'lesa',
    num_hidden_layers: 18,
    new_layers: [6],
    parameters: 7,
    bytes: 14,
    shards: 1,
    device: null,
    seed: 0,
    seconds: 3,
    predictors: [],
    warnings: [],
    ...changes,
  }
}

export function projectView(changes: Partial<ProjectView> = {}): ProjectView {
  const summary = modelSummary()
  return {
    id: PROJECT_ID,
    path: '/home/someone/LESA Workbench/Demo',
    name: 'Demo',
    notes: '',
    createdAt: 0,
    model: { state: 'ready', path: summary.path, name: 'base', summary },
    draft: DEFAULT_DRAFT,
    texts: [],
    runs: [],
    perplexities: [],
    trainings: [],
    comparison: null,
    workBytes: 0,
    problems: [],
    ...changes,
  }
}

/** The job of {@link runSummary}. */
export function runJob(changes: Partial<JobSnapshot> = {}): JobSnapshot {
  return {
    ...snapshot,
    owner: { project: PROJECT_ID, run: '001-lesa' },
    state: 'running',
    startedAt: 2,
    seq: 1,
    ...changes,
  }
}
