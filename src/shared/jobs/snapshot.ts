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
  /** The training that the job carries out. */
  readonly training?: string
  /** What people call the run or training and its project, when the job was started. */
  readonly name?: string
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
  readonly steps: readonly (JobStep & {
    readonly done: number
    readonly total: number
    /** As in the step's event. */
    readonly kept?: number | null
  })[]
  /** Overall progress, 0 … 1; it never goes back. */
  readonly progress: number
  /** The course of each series, thinned where it is long; its newest points are all there. */
  readonly series: SeriesMap
  /** What has been written so far, by stream; absent where nothing is. */
  readonly texts?: Readonly<Record<string, string>>
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
  return kindOf(spec).title(spec, owner?.name ?? owner?.run)
}

/** Earlier than this an estimate would jump about. */
const ESTIMATE_FROM = { progress: 0.05, elapsedMs: 3_000 } as const

/** The share of a job that was not computed but taken from what earlier ones kept. */
function keptShare({ steps }: Pick<JobSnapshot, 'steps'>): number {
  const all = steps.reduce((sum, { weight }) => sum + weight, 0)
  const kept = steps.reduce((sum, step) => sum + (step.kept === undefined ? 0 : step.weight), 0)
  return all > 0 ? kept / all : 0
}

/** Time left if the rest goes as fast as what the job itself has done; `null` while that is anyone's guess. */
export function remainingMs(
  job: Pick<JobSnapshot, 'state' | 'startedAt' | 'endedAt' | 'progress' | 'steps'>,
  now: number,
): number | null {
  if (job.state === 'cancelling' || job.startedAt === undefined || job.endedAt !== undefined) {
    return null
  }
  const elapsed = now - job.startedAt
  const done = job.progress - keptShare(job)
  if (done < ESTIMATE_FROM.progress || elapsed < ESTIMATE_FROM.elapsedMs) return null
  return (elapsed * (1 - job.progress)) / done
}
