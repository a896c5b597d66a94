/** @file What a fit does, for progress and for the estimate. */
import { contextSize, windowOfLayer, type ModelConfig } from '../architectures/config'
import type { Work } from '../lib/work'
import type { TrainingModel } from '../pretraining/memory'
import { backwardOperations, layerOperations } from '../pretraining/work'
import { SOLVER_ITERATIONS } from './direction'

/** Steps that a search tries: usually four to eight. */
const USUAL_TRIES = 7

export interface FitSize {
  readonly context: number
  /** Windows of a round that the direction is from, that the step is chosen on, and those that are used for neither. */
  readonly fit: number
  readonly search: number
  readonly unseen: number
  /** The layers after which blocks stand, in order. */
  readonly layers: readonly number[]
}

/** Floating-point operations of a block's direction: the sums over so many tokens, and what solves both systems. */
export function directionOperations(config: ModelConfig, tokens: number): number {
  const { hiddenSize, intermediateSize } = config
  return [contextSize(config), intermediateSize].reduce((operations, width) => {
    const sums = 2 * (width ** 2 + width * hiddenSize + hiddenSize ** 2)
    const solution = 2 * SOLVER_ITERATIONS * width * hiddenSize * (width + hiddenSize)
    return operations + tokens * sums + solution
  }, 0)
}

/** One round. */
export function roundWork(model: TrainingModel, size: FitSize): Work {
  const { context, fit, search, layers } = size
  const { hiddenSize, vocabSize } = model.config
  const lowest = layers[0] ?? 0
  const own = (layer: number) =>
    layerOperations(model, layer, context, windowOfLayer(model.config, layer))
  const forwardOf = (each: readonly number[]): number =>
    each.reduce((sum, layer) => sum + own(layer).linear + own(layer).attention, 0)
  const all = Array.from({ length: model.config.numHiddenLayers }, (_, layer) => layer)
  const upper = all.slice(lowest + 1)
  const backward = upper.reduce(
    (sum, layer) => sum + backwardOperations(own(layer), { recomputes: true, trains: false }),
    0,
  )
  const head = 2 * hiddenSize * vocabSize
  const [fitted, searched] = [fit * context, search * context]
  return {
    layers: {
      forward:
        fitted * (forwardOf(all) + forwardOf(layers)) +
        searched * (forwardOf(all) + USUAL_TRIES * forwardOf([...upper, ...layers])),
      backward: fitted * backward,
    },
    head: head * (2 * fitted + USUAL_TRIES * searched),
    products: layers.length * directionOperations(model.config, fitted),
  }
}

/** Telling what came of it. */
export function unseenWork(model: TrainingModel, { context, unseen, layers }: FitSize): Work {
  const { config } = model
  const all = Array.from({ length: config.numHiddenLayers }, (_, layer) => layer)
  const forward = [...all, ...all, ...layers].reduce((sum, layer) => {
    const { linear, attention } = layerOperations(
      model,
      layer,
      context,
      windowOfLayer(config, layer),
    )
    return sum + linear + attention
  }, 0)
  const tokens = unseen * context
  return {
    layers: { forward: tokens * forward, backward: 0 },
    head: 2 * tokens * 2 * config.hiddenSize * config.vocabSize,
  }
}
