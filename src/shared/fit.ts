/** @file What is told of a start that was fitted to a text; the names are those of the command line's JSON. */
import type { TextFacts } from './pretraining'

/** Losses on windows that nothing was fitted to or chosen on: without the new layers, and with them. */
export interface UnseenLosses {
  readonly tokens: number
  /** Mean negative log-likelihood, in nats. */
  readonly before: number
  readonly after: number
  /** after − before with its 95 % interval; `null` where there are too few windows for one. */
  readonly difference: {
    readonly mean: number
    readonly low: number
    readonly high: number
  } | null
}

export interface FitRound {
  /** Tokens that the direction is from, and the mean loss on them before the step. */
  readonly tokens: number
  readonly loss: number
  /** Along the direction, the same for all new layers; 0 where none lowered the loss on other windows. */
  readonly step: number
  /** Steps that were tried, 0 first, with the mean loss on those windows. */
  readonly tried: readonly (readonly [step: number, loss: number])[]
}

/** It holds nothing that differs from run to run, such as times. */
export interface FitReport {
  readonly texts: readonly TextFacts[]
  readonly old_texts: readonly TextFacts[]
  /** Tokens of a window. */
  readonly context: number
  readonly rounds: readonly FitRound[]
  readonly unseen: UnseenLosses
  readonly unseen_old: UnseenLosses | null
}
