import type { DeviceDecision } from '../devices'
import type { AppErrorData } from '../errors'
import type { JobState, JobStep } from './events'
import { kindOf, type JobResult, type JobSpec } from './registry'

/** A project's job. */
export interface JobOwner {
  /** Of the project, while it is open. */
  readonly project: string
  /** The run that the job computes or exports. */
  readonly run?: string
}

/** Everything a window needs to show a job, whenever it asks. */
export interface JobSnapshot {
  readonly id: string
  readonly spec: JobSpec
  /** The project that it belongs to, if any. */
  readonly owner?: JobOwner
  readonly state: JobState
  /** Rises with every change, so that a late answer can be told from a newer one. */
  readonly seq: number
  readonly createdAt: number
  readonly startedAt?: number
  readonly endedAt?: number
  readonly device?: DeviceDecision
  readonly steps: readonly (JobStep & { readonly done: number; readonly total: number })[]
  /** Overall progress, 0 … 1; it never goes back. */
  readonly progress: number
  /** The latest points of each series, oldest first. */
  readonly series: Readonly<
    Record<string, { readonly x: readonly number[]; readonly y: readonly number[] }>
  >
  readonly log: readonly {
    readonly at: number
    readonly level: 'info' | 'warning'
    readonly text: string
  }[]
  readonly result?: JobResult
  readonly error?: AppErrorData
}

export function isOver(job: JobSnapshot): boolean {
  return job.endedAt !== undefined
}

/** What a job does, in a few words. */
export function describeJob({ spec, owner }: JobSnapshot): string {
  return kindOf(spec).title(spec, owner?.run)
}
