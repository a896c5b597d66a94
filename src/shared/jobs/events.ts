import type { DeviceDecision } from '../devices'

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
  | { readonly type: 'step'; readonly id: string; readonly done: number; readonly total: number }
  /** New points of a series such as `loss/q_proj`. */
  | {
      readonly type: 'metric'
      readonly series: string
      readonly x: readonly number[]
      readonly y: readonly number[]
    }
  | { readonly type: 'log'; readonly level: 'info' | 'warning'; readonly text: string }
  | { readonly type: 'artifact'; readonly path: string; readonly sizeBytes: number }

export type JobState =
  'queued' | 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled' | 'interrupted'
