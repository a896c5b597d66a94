import type { Device } from './devices'

/** One part of an estimate: a stage of the job with its share of the time, or something that takes memory. */
export interface EstimateItem {
  readonly label: string
  readonly value: number
}

/** Green, amber, red. */
export type Verdict = 'fits' | 'tight' | 'does_not_fit'

/** What a job needs before it is tried at all, in bytes. */
export interface EstimateRefusal {
  readonly needs: 'memory_limit' | 'other_process' | 'disk'
  /** The smallest limit, what the process would have to hold, or the least free space, that it can be done with. */
  readonly bytes: number
}

/** The pace of a training, for one of its models; for several that differ, their mean. */
export interface TrainingPace {
  /** The range in which most steps' wall time is, evaluations and saved states left out. */
  readonly secondsPerStep: { readonly low: number; readonly high: number }
  /** Of one training, without trials of learning rates and repeats. */
  readonly steps: number
  readonly tokensPerStep: number
}

/** What a job will cost, from the model's shapes and this machine's measured speed. */
export interface Estimate {
  /** Wall time: the range in which most runs end. */
  readonly seconds: { readonly low: number; readonly high: number }
  /** Most main memory that the engine holds at once. */
  readonly hostBytesPeak: number
  /** Most memory on the device; `null` on the CPU, where it is main memory. */
  readonly deviceBytes: number | null
  /** Most disk that is taken at once in the output's place, temporary files included. */
  readonly diskBytes: number
  /** Main memory that may be used now: what is free, or the limit set by the person when that is less. */
  readonly freeMemory: number
  /** Free space where the output goes; `null` where the file system does not say. */
  readonly freeDisk: number | null
  /** Whether that is the person's limit. */
  readonly isLimited: boolean
  /** The device it was made for; `null` for what computes nothing. */
  readonly device: Device | null
  /** Why the job would be refused; `null` when it can be tried, whatever the verdict. */
  readonly refusal: EstimateRefusal | null
  /** Of a job that trains. */
  readonly training?: TrainingPace
  readonly verdict: Verdict
  /** Why the verdict is what it is, in sentences; one at least. */
  readonly reasons: readonly string[]
  readonly breakdown: {
    /** Seconds by stage, in order. */
    readonly seconds: readonly EstimateItem[]
    /** Bytes held together when memory is at its highest. */
    readonly hostBytes: readonly EstimateItem[]
    /** Bytes by what they are for. */
    readonly diskBytes: readonly EstimateItem[]
  }
}
