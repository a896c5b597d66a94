import type { LearnedMethodSpec } from '@shared/methods'
import { holdoutSteps, trainingSteps } from '@shared/predictorSettings'
import { bytesPerElement, isTensorDtype } from '../checkpoint/dtypes'
import { predictorParameters, type Work } from '../lib/work'
import { heldOutIn } from './series'
import type { StackedMatrix } from './StackedMatrix'

/** The three stages of a weight type, as steps of the job. */
export const LEARNED_STAGES = ['decompose', 'train', 'predict'] as const
export type LearnedStage = (typeof LEARNED_STAGES)[number]

/** What each stage does for one weight type and so many new layers, experts included. */
export function learnedWork(
  source: StackedMatrix,
  method: LearnedMethodSpec,
  newLayers: number,
): Record<LearnedStage, Work> {
  const { rows, width, layerCount, series, ownChains } = source
  const matrices = newLayers * ownChains
  const holdout = heldOutIn(series, method.holdout ?? [])
  const elements = source
    .dtypes()
    .map((each) => (isTensorDtype(each) ? bytesPerElement(each) : Float32Array.BYTES_PER_ELEMENT))
  const stored = rows * width * elements.reduce((sum, bytes) => sum + bytes, 0)
  const parameters = predictorParameters(width, method.predictor.hiddenSize)
  return {
    decompose: method.useSvd
      ? {
          // The lower triangle's blocks, then every layer's coordinates.
          products: (1.2 + 2) * rows ** 2 * width * layerCount,
          eigenproblem: rows,
          converted: 2 * stored,
        }
      : { converted: stored },
    train: {
      training: {
        steps: trainingSteps(method, source) + holdoutSteps({ ...method, holdout }, source),
        width,
        settings: method.predictor,
      },
    },
    predict: {
      products: matrices * ((method.useSvd ? 2 * rows ** 2 * width : 0) + 2 * rows * parameters),
      // Coordinates in, weights out and into their file.
      converted: matrices * rows * width * Float32Array.BYTES_PER_ELEMENT,
    },
  }
}
