/** @file What a stage of a job does, declared once by the stage: progress weighs it, the estimate times it. */
import type { PredictorSettings } from '@shared/predictorSettings'

/** In the units in which a machine is timed. */
export interface Work {
  /** Floating-point operations of matrix products. */
  readonly products?: number
  /** Rows of a symmetric eigenproblem. */
  readonly eigenproblem?: number
  /** Training steps of a predictor for rows of `width`. */
  readonly training?: {
    readonly steps: number
    readonly width: number
    readonly settings: PredictorSettings
  }
  /** Floating-point operations of products in decoder layers that are trained or run for that. */
  readonly layers?: { readonly forward: number; readonly backward: number }
  /** The same of products with the output matrix. */
  readonly head?: number
  /** Parameters that AdamW moves, counted once for each time. */
  readonly updated?: number
  /** Bytes of text that become tokens. */
  readonly tokenised?: number
  /** Bytes read from files, or computed and written, on their way through float32. */
  readonly converted?: number
  /** Bytes copied from file to file. */
  readonly copied?: number
}

/** What a byte that is moved costs beside a floating-point operation. */
const OPERATIONS_A_BYTE = 100

/** Operations of an eigenproblem over its rows cubed. */
const EIGEN_OPERATIONS = 18

/** Of the optimiser's passes over memory, in operations for each parameter of a step. */
const OPTIMISER_OPERATIONS = 400

/** Of making tokens, for each byte of text. */
const OPERATIONS_A_TEXT_BYTE = 20_000

/** Parameters of a predictor: `2·width → hidden → hidden → width`, biases left out. */
export function predictorParameters(width: number, hiddenSize: number): number {
  return hiddenSize * (3 * width + hiddenSize)
}

/** Work in floating-point operations: a step's relative cost on a machine that has not been timed. */
export function weightOf(work: Work): number {
  const { products = 0, eigenproblem = 0, training, converted = 0, copied = 0 } = work
  const { layers, head = 0, updated = 0, tokenised = 0 } = work
  const { steps = 0, width = 0, settings } = training ?? {}
  const { hiddenSize = 0, batchSize = 0 } = settings ?? {}
  const perStep = predictorParameters(width, hiddenSize) * (6 * batchSize + OPTIMISER_OPERATIONS)
  return (
    products +
    (layers?.forward ?? 0) +
    (layers?.backward ?? 0) +
    head +
    OPTIMISER_OPERATIONS * updated +
    OPERATIONS_A_TEXT_BYTE * tokenised +
    EIGEN_OPERATIONS * eigenproblem ** 3 +
    steps * perStep +
    OPERATIONS_A_BYTE * (converted + copied)
  )
}
