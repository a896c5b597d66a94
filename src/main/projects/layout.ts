/** @file Names within a project's folder. */
import { join } from 'node:path'

export { folderNameOf } from '@shared/paths'

/** Makes a folder a project. */
export const PROJECT_FILE = 'project.json'
export const RUN_FILE = 'run.json'

export const projectPaths = {
  file: (project: string): string => join(project, PROJECT_FILE),
  runs: (project: string): string => join(project, 'runs'),
  run: (project: string, run: string): string => join(project, 'runs', run),
  texts: (project: string): string => join(project, 'texts'),
  text: (project: string, text: string): string => join(project, 'texts', `${text}.txt`),
  /** What runs of this project can use again. */
  work: (project: string): string => join(project, 'work'),
  /** The demo's own copy of its model. */
  model: (project: string): string => join(project, 'model'),
} as const

export const runPaths = {
  file: (run: string): string => join(run, RUN_FILE),
  metrics: (run: string): string => join(run, 'metrics.jsonl'),
  log: (run: string): string => join(run, 'log.jsonl'),
  analysis: (run: string): string => join(run, 'analysis.json'),
  directions: (run: string): string => join(run, 'directions'),
  predictors: (run: string): string => join(run, 'predictors'),
  /** The grown checkpoint. */
  model: (run: string): string => join(run, 'model'),
} as const
