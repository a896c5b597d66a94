import type { JobEvent, JobKindName, ResultOf, SpecOf } from '@shared/jobs'

/** What a job knows of the world besides its spec. */
export interface JobEnv {
  /** Aborted when the job is cancelled. */
  readonly signal: AbortSignal
  /**
   * Aborted when the job is to pause, of kinds that say `keepsOnPause`: they keep what can be gone on with, and throw its
   * reason.
   */
  readonly pauses?: AbortSignal
  /** Where results may be kept that a later run can use again. */
  readonly workDir?: string
  /** Where the job leaves its record: the pictures' data, the trained predictors. */
  readonly recordDir?: string
}

/** What the file of each kind of job exports as `run`: it yields what happens and returns the result. */
export type JobRunner<K extends JobKindName> = (
  spec: SpecOf<K>,
  env: JobEnv,
) => AsyncGenerator<JobEvent, ResultOf<K>>
