/** @file Names within a project's folder. */
import { join } from 'node:path'

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

/** A name that every file system takes, as close to what the person wrote as can be. */
export function folderNameOf(name: string): string {
  const cleaned = name
    // What Windows refuses, of which the others refuse a part.
    // eslint-disable-next-line no-control-regex
    .replace(/[<>:"/\\|?*\u0000-\u001f\u007f]/g, '-')
    .trim()
    .slice(0, 80)
    .replace(/[. ]+$/, '')
    .replace(/^\.+/, '')
  const isReserved = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i.test(cleaned)
  return cleaned === '' ? 'Project' : isReserved ? `_${cleaned}` : cleaned
}
