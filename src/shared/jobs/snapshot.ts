import type { DeviceDecision } from '../devices'
import type { AppErrorData } from '../errors'
import type { JobChange, JobState, JobStep } from './events'
import { kindOf, type JobResult, type JobSpec } from './registry'
import type { SeriesMap } from './series'

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
  /** The number of the last update that is in it. */
  readonly seq: number
  readonly createdAt: number
  readonly startedAt?: number
  readonly endedAt?: number
  readonly device?: DeviceDecision
  readonly steps: readonly (JobStep & { readonly done: number; readonly total: number })[]
  /** Overall progress, 0 … 1; it never goes back. */
  readonly progress: number
  /** The course of each series, thinned where it is long; its newest points are all there. */
  readonly series: SeriesMap
  readonly log: readonly {
    readonly at: number
    readonly level: 'info' | 'warning'
    readonly text: string
  }[]
  readonly result?: JobResult
  readonly error?: AppErrorData
}

/** What is told of a job: what has happened to it since the update before, or that it is there. */
export interface JobUpdate {
  readonly job: string
  /** 0 for a new job; one more with each update. */
  readonly seq: number
  readonly events: readonly JobChange[]
  /** The whole job as it is after the events; only when it is new. */
  readonly snapshot?: JobSnapshot
}

export function isOver(job: JobSnapshot): boolean {
  return job.endedAt !== undefined
}

/** What a job does, in a few words. */
export function describeJob({ spec, owner }: JobSnapshot): string {
  return kindOf(spec).title(spec, owner?.run)
}
