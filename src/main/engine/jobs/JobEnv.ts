/** What a task knows of the world besides its spec. */
export interface JobEnv {
  /** Aborted when the job is cancelled. */
  readonly signal: AbortSignal
  /** Where results may be kept that a later run can use again. */
  readonly workDir?: string
  /** Where the job leaves its record: the pictures' data, the trained predictors. */
  readonly recordDir?: string
}
