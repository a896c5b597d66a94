import type { TrainedParts } from '@shared/pretraining'
import type { Schedule } from '@shared/schedules'
import type { AdamWSettings } from '../training/adamw'

/** What decides the weights that a training of layers arrives at, beside the windows that it is given. */
export interface LayerTrainingSettings {
  /** Which layers are trained, in any order; all others stay as they are in the file. */
  readonly layers: readonly number[]
  readonly parts: TrainedParts
  readonly optimiser: AdamWSettings
  readonly schedule: Schedule
  /** What the rate of output matrices is multiplied by that are zero in the checkpoint. */
  readonly outputRateFactor: number
  /** Longest gradient of all trained tensors together; 0 for any length. */
  readonly clip: number
}

/** What an optimiser step was like. */
export interface StepReport {
  /** Counted from 1. */
  readonly step: number
  /** Mean negative log-likelihood of the windows' tokens but their first, in nats, before the step. */
  readonly loss: number
  /** Of all trained tensors together, before it is clipped. */
  readonly gradientNorm: number
}

/** How far a step or an evaluation is, in units that take about as long as each other. */
export interface Portion {
  readonly done: number
  readonly total: number
}

/** What an evaluation found. */
export interface MeanLoss {
  /** Mean negative log-likelihood in nats. */
  readonly loss: number
  /** Tokens that were scored. */
  readonly predicted: number
}
