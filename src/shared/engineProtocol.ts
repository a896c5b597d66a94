import type { DeviceReport } from './devices'
import type { AppErrorData } from './errors'
import type { JobEvent, JobResult, JobSpec } from './jobs'
import type { ModelSummary } from './model'

/** What main asks the engine for outside of jobs: short, and safe to ask again. */
export interface EngineCalls {
  inspect: (path: string) => Promise<ModelSummary>
  devices: () => Promise<readonly DeviceReport[]>
}

export type EngineCallName = keyof EngineCalls
export type EngineCallArguments<C extends EngineCallName> = Parameters<EngineCalls[C]>
export type EngineCallResult<C extends EngineCallName> = Awaited<ReturnType<EngineCalls[C]>>

/** One call with the arguments that belong to its name. */
type CallRequest<C extends EngineCallName = EngineCallName> = {
  [N in C]: {
    readonly type: 'call'
    readonly id: number
    readonly name: N
    readonly args: EngineCallArguments<N>
  }
}[C]

/** Main → engine. */
export type EngineRequest =
  | CallRequest
  | {
      readonly type: 'job:start'
      readonly jobId: string
      readonly spec: JobSpec
      /** Where the job may keep what a later run can use again. */
      readonly workDir?: string
    }
  | { readonly type: 'job:cancel'; readonly jobId: string }

/** How a job ended. Cancellation is a state, not an error. */
export type JobOutcome =
  | { readonly state: 'succeeded'; readonly result: JobResult }
  | { readonly state: 'failed'; readonly error: AppErrorData }
  | { readonly state: 'cancelled' }

/** Engine → main. */
export type EngineAnswer =
  /** The engine listens; nothing is sent to it before. */
  | { readonly type: 'ready' }
  | { readonly type: 'answer'; readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly type: 'answer'
      readonly id: number
      readonly ok: false
      readonly error: AppErrorData
    }
  | { readonly type: 'job:event'; readonly jobId: string; readonly event: JobEvent }
  | { readonly type: 'job:end'; readonly jobId: string; readonly outcome: JobOutcome }
