/** @file Names within a project's folder. */
import { join } from 'node:path'

export { folderNameOf } from '@shared/paths'

/** Makes a folder a project. */
export const PROJECT_FILE = 'project.json'
export const RUN_FILE = 'run.json'
export const TRAINING_FILE = 'training.json'

export const projectPaths = {
  file: (project: string): string => join(project, PROJECT_FILE),
  runs: (project: string): string => join(project, 'runs'),
  run: (project: string, run: string): string => join(project, 'runs', run),
  trainings: (project: string): string => join(project, 'trainings'),
  training: (project: string, training: string): string => join(project, 'trainings', training),
  texts: (project: string): string => join(project, 'texts'),
  text: (project: string, text: string): string => join(project, 'texts', `${text}.txt`),
  /** What was measured of the places for new layers. */
  places: (project: string): string => join(project, 'places.json'),
  /** What runs of this project can use again. */
  work: (project: string): string => join(project, 'work'),
  /** The demo's own copy of its model. */
  model: (project: string): string => join(project, 'model'),
} as const

/** Within the folder of a run or of a training. */
export const recordPaths = {
  metrics: (record: string): string => join(record, 'metrics.jsonl'),
  log: (record: string): string => join(record, 'log.jsonl'),
} as const

export const runPaths = {
  ...recordPaths,
  file: (run: string): string => join(run, RUN_FILE),
  analysis: (run: string): string => join(run, 'analysis.json'),
  /** Of a trained model: that of the model before. */
  earlierAnalysis: (run: string): string => join(run, 'analysis-before.json'),
  directions: (run: string): string => join(run, 'directions'),
  predictors: (run: string): string => join(run, 'predictors'),
  /** Of a model that was trained elsewhere: what that changed. */
  descent: (run: string): string => join(run, 'descent.json'),
  /** The project's texts under their own names, as long as the growth reads them. */
  texts: (run: string): string => join(run, 'texts'),
  /** The grown checkpoint. */
  model: (run: string): string => join(run, 'model'),
} as const

export const trainingPaths = {
  ...recordPaths,
  file: (training: string): string => join(training, TRAINING_FILE),
  /** All that the job returned, every point of every curve. */
  result: (training: string): string => join(training, 'result.json'),
  /** Tokens and states, from which a training goes on. */
  work: (training: string): string => join(training, 'work'),
  /** The project's texts under their own names, as long as the job needs them. */
  texts: (training: string): string => join(training, 'texts'),
  /** What the job writes: a checkpoint for each model. */
  models: (training: string): string => join(training, 'models'),
  /** Runs that are being made of them. */
  runs: (training: string): string => join(training, 'runs'),
} as const
