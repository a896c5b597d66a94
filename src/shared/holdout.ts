/**
 * @file Which layers are kept out of a predictor's training, to learn how well layers are predicted that it has not seen.
 * The predictor that makes new layers trains on all; the kept-out ones are predicted by others, trained for that alone.
 */
import type { PredictorReport } from './jobs'

/** `some`: so many, spread evenly. */
export const SOME_LAYERS = 3

/**
 * The most of the samples that may be missing from one of these trainings: with fewer left it says little of a predictor
 * that has them all. Layers that would take more are kept out of trainings of their own.
 */
const MOST_MISSING = 0.4

/** Layers in one training lie so far apart at least: no sample of one has another in it. */
const LEAST_APART = 3

/** Layers with two neighbours, which samples are made of. */
export function innerLayers(layerCount: number): number[] {
  return Array.from({ length: Math.max(0, layerCount - 2) }, (_, index) => index + 1)
}

/** Layers whose samples a training may see: those in which no kept-out layer is target or neighbour. */
export function layersLeft(keptOut: readonly number[], layerCount: number): number[] {
  return innerLayers(layerCount).filter((layer) =>
    keptOut.every((out) => Math.abs(layer - out) > 1),
  )
}

/** Whether a model of so many layers has enough others to learn from when this one is kept out. */
export function canHoldOut(layer: number, layerCount: number): boolean {
  return innerLayers(layerCount).includes(layer) && layersLeft([layer], layerCount).length > 0
}

/** The trainings that these layers need, each with the layers that are kept out of it: as few as may be. */
export function holdoutFolds(layers: readonly number[], layerCount: number): number[][] {
  const folds: number[][] = []
  for (const layer of [...layers].sort((a, b) => a - b)) {
    const fits = (fold: readonly number[]): boolean =>
      fold.every((other) => Math.abs(layer - other) >= LEAST_APART) &&
      missing([...fold, layer], layerCount) <= MOST_MISSING
    const fold = folds.find(fits)
    if (fold) fold.push(layer)
    else folds.push([layer])
  }
  return folds
}

/** Share of the samples that is missing where these layers are kept out. */
function missing(keptOut: readonly number[], layerCount: number): number {
  return 1 - layersLeft(keptOut, layerCount).length / Math.max(1, layerCount - 2)
}

/** `count` layers at even distances, as far as they can be held out. */
function spread(count: number, layerCount: number): number[] {
  const layers = Array.from({ length: count }, (_, index) =>
    Math.floor((layerCount * (index + 1)) / (count + 1)),
  )
  return [...new Set(layers)].filter((layer) => canHoldOut(layer, layerCount))
}

/** A few layers, spread evenly over the inner ones. */
export function someLayers(layerCount: number): number[] {
  return spread(SOME_LAYERS, layerCount)
}

/**
 * Those that are held out where nobody chose: as many of a few as one training can keep out, so that predictors train for
 * less than twice as long; none of a model in which one layer would already take too many samples.
 */
export function defaultHoldout(layerCount: number): number[] | null {
  for (let count = SOME_LAYERS; count > 0; count -= 1) {
    const layers = spread(count, layerCount)
    const [fold = [], ...others] = holdoutFolds(layers, layerCount)
    const isCheap = others.length === 0 && missing(fold, layerCount) <= MOST_MISSING
    if (layers.length === count && isCheap) return layers
  }
  return null
}

/** `3`, `3 and 6`, `3, 6 and 9`. */
export function listLayers(layers: readonly number[]): string {
  const last = layers.at(-1) ?? ''
  return layers.length < 2 ? String(last) : `${layers.slice(0, -1).join(', ')} and ${last}`
}

/** `layer 3`, `layers 3, 6 and 9`. */
export function nameLayers(layers: readonly number[]): string {
  return `${layers.length === 1 ? 'layer' : 'layers'} ${listLayers(layers)}`
}

type Holdout = NonNullable<PredictorReport['holdout']>
type Figures = Omit<Holdout, 'layers'>

/** The figures of several layers with as many elements each, as those of all of them as one. */
export function pooled(layers: Holdout['layers']): Figures {
  const mean = (of: (each: Figures) => number): number =>
    layers.reduce((sum, each) => sum + of(each), 0) / layers.length
  const target = mean(({ mseOfZero }) => mseOfZero)
  // Mean squares of the predictions, and of their products with the targets.
  const output = mean(({ mseOfZero, normRatio }) => mseOfZero * normRatio ** 2)
  const product = mean(({ mseOfZero, normRatio, cosine }) => mseOfZero * normRatio * cosine)
  return {
    mse: mean(({ mse }) => mse),
    mseOfZero: target,
    mseOfMean: mean(({ mseOfMean }) => mseOfMean),
    normRatio: target > 0 ? Math.sqrt(output / target) : 0,
    cosine: target > 0 && output > 0 ? product / Math.sqrt(target * output) : 0,
  }
}
