/** @file What a job takes in figures, before they are judged; and how long a work lasts on this machine. */
import type { Device } from '@shared/devices'
import type { EstimateItem } from '@shared/estimate'
import type { ArrayNeed } from '../lib/arrays'
import type { Work } from '../lib/work'
import type { Runtime } from '../onnx/Runtime'
import type { Calibration } from './calibration'
import type { TrainingRates } from './trainingTrial'

export interface Cost {
  readonly seconds: readonly EstimateItem[]
  readonly hostBytes: readonly EstimateItem[]
  readonly deviceBytes: number | null
  readonly diskBytes: readonly EstimateItem[]
  /** `null` for what computes nothing. */
  readonly device: Device | null
  /** The smallest bound of memory that is not refused; 0 where none is. */
  readonly leastMemory: number
  readonly arrays: ArrayNeed
  /** Where the disk is needed; `null` when nothing is written. */
  readonly out: string | null
  /** Of a job that trains. */
  readonly training?: {
    readonly secondsPerStep: number
    readonly steps: number
    readonly tokensPerStep: number
  }
}

/** What a machine does in a second; without a runtime only files can be timed. */
export interface Rates {
  readonly calibration: Calibration
  readonly runtime: Runtime | null
  /** Bytes a second. */
  readonly read: number
  readonly copy: number
  /** Bytes of text that become tokens in a second. */
  readonly text?: number
  /** Of the layers of the model at hand. */
  readonly training?: TrainingRates
}

/** How long a work lasts. */
export async function secondsOf(work: Work, rates: Rates): Promise<number> {
  const { calibration, runtime, read, copy, text = Infinity, training: own } = rates
  const { products = 0, eigenproblem = 0, training, converted = 0, copied = 0 } = work
  const { layers, head = 0, updated = 0, tokenised = 0 } = work
  const files = converted / read + copied / copy + tokenised / text
  if (runtime === null) return files
  const trained = own
    ? (layers ? layers.forward / own.forward + layers.backward / own.backward : 0) +
      head / own.head +
      updated / own.update
    : 0
  return (
    files +
    trained +
    (products > 0 ? products / (await calibration.productRate(runtime)) : 0) +
    (eigenproblem > 0 ? await calibration.eigenSeconds(runtime, eigenproblem) : 0) +
    (training
      ? training.steps * (await calibration.stepSeconds(runtime, training.width, training.settings))
      : 0)
  )
}

export const totalOf = (items: readonly EstimateItem[]): number =>
  items.reduce((total, { value }) => total + value, 0)
