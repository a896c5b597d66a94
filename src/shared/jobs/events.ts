import type { DeviceDecision } from '../devices'
import type { AppErrorData } from '../errors'
import type { JobResult } from './registry'

/** One step of a job as announced before it starts; weights are relative costs. */
export interface JobStep {
  readonly id: string
  readonly label: string
  readonly weight: number
}

/** What a running job says. It knows nothing of who listens. */
export type JobEvent =
  | { readonly type: 'plan'; readonly steps: readonly JobStep[] }
  | { readonly type: 'device'; readonly decision: DeviceDecision }
  /** `done` of `total` units; a step is over when they are equal. */
  | {
      readonly type: 'step'
      readonly id: string
      readonly done: number
      readonly total: number
      /** Taken from what an earlier job kept: the seconds that it took then, `null` where nobody knows. */
      readonly kept?: number | null
    }
  /** New points of a series such as `loss/q_proj`. */
  | {
      readonly type: 'metric'
      readonly series: string
      readonly x: readonly number[]
      readonly y: readonly number[]
    }
  /** More of a text that is being written, such as `text/0`. */
  | { readonly type: 'text'; readonly stream: string; readonly text: string }
  | { readonly type: 'log'; readonly level: 'info' | 'warning'; readonly text: string }
  | { readonly type: 'artifact'; readonly path: string; readonly sizeBytes: number }

/** How a job ended. Cancellation is a state, not an error. */
export type JobOutcome =
  | { readonly state: 'succeeded'; readonly result: JobResult }
  | { readonly state: 'failed'; readonly error: AppErrorData }
  | { readonly state: 'cancelled' }

/**
 * A change of a job's state. The program ended while an `interrupted` job waited or ran; a `pausing` one goes on until
 * what it computes is kept, and is `paused` then.
 */
export type StateChange =
  JobOutcome | { readonly state: 'running' | 'pausing' | 'cancelling' | 'paused' | 'interrupted' }

export type JobState = 'queued' | StateChange['state']

/** Whether a job of this state is being carried out. */
export function isActive(state: JobState): boolean {
  return state === 'running' || state === 'pausing' || state === 'cancelling'
}

/** Whether a job of this state has not ended. */
export function isOpen(state: JobState): boolean {
  return state === 'queued' || isActive(state)
}

/** Whether a job of this state ended before it was done. */
export function isStopped(state: JobState): boolean {
  return !isOpen(state) && state !== 'succeeded'
}

/** Everything that happens to a job after it was queued, with its time in milliseconds. */
export type JobChange = { readonly at: number } & (
  JobEvent | ({ readonly type: 'state' } & StateChange)
)
