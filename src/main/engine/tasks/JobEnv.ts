/** What a task knows of the world besides its spec. */
export interface JobEnv {
  /** Aborted when the job is cancelled. */
  readonly signal: AbortSignal
  /** Where results may be kept that a later run can use again. */
  readonly workDir?: string
}
