import type { EngineCalls } from '@shared/engineProtocol'
import { AppError } from '@shared/errors'
import type { JobEvent, JobResult, JobSpec } from '@shared/jobs'

/** What a task knows of the world besides its spec. */
export interface JobEnv {
  readonly signal: AbortSignal
  /** Where results may be kept that a later run can use again. */
  readonly workDir?: string
}

/** Runs a job of any kind: yields what happens, returns its result. */
// eslint-disable-next-line require-yield, @typescript-eslint/require-await
export async function* runJob(spec: JobSpec, _env: JobEnv): AsyncGenerator<JobEvent, JobResult> {
  throw new AppError('bug', `Jobs of kind ${spec.kind} cannot be run.`)
}

export const engineCalls: EngineCalls = {
  inspect: () => Promise.reject(new AppError('bug', 'Models cannot be inspected.')),
  devices: () => Promise.reject(new AppError('bug', 'Devices cannot be listed.')),
}
