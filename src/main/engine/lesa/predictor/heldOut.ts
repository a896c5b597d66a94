/** @file Predictors that are trained without some layers, to learn how well these are predicted. */
import { holdoutFolds, pooled } from '@shared/holdout'
import type { PredictorReport } from '@shared/jobs'
import { countSteps, holdoutLength, type PredictorSettings } from '@shared/predictorSettings'
import type { CoordinateStore } from '../decomposition/CoordinateStore'
import type { Runtime } from '../../onnx/Runtime'
import { PredictorKernel } from './PredictorKernel'
import { measurePredictor } from './quality'
import { Samples, targetsIn } from './Samples'
import type { TrainedPredictor, TrainingProgress } from './train'

export type HeldOut = NonNullable<PredictorReport['holdout']>

/** One of these trainings. */
interface Fold {
  /** Kept out of it. */
  readonly layers: readonly number[]
  readonly samples: Samples
  readonly settings: PredictorSettings
}

/** What a training is to be made with, by whoever knows the rest. */
export type Train = (
  samples: Samples,
  settings: PredictorSettings,
) => AsyncGenerator<TrainingProgress, TrainedPredictor>

/** The trainings without some layers of a weight type. */
export class HeldOutTrainings {
  /** Mini-batches of all. */
  readonly steps: number
  private readonly folds: readonly Fold[]

  /**
   * @param stored How many chains of layers are in the store, and how many of them, the first ones, are judged.
   * @param layers Places in a chain, to be predicted by predictors that have not seen them.
   */
  constructor(
    private readonly store: CoordinateStore,
    private readonly stored: { readonly chains: number; readonly judged: number },
    layers: readonly number[],
    settings: PredictorSettings,
  ) {
    const { chains } = stored
    const { count } = new Samples(store, targetsIn(store, chains))
    this.folds = holdoutFolds(layers, store.layerCount / chains).map((fold) => {
      const samples = new Samples(store, targetsIn(store, chains, fold))
      const length = holdoutLength(settings.length, samples.count, count)
      return { layers: fold, samples, settings: { ...settings, length } }
    })
    this.steps = this.folds.reduce(
      (sum, { samples, settings: { length, batchSize } }) =>
        sum + countSteps(length, samples.count, batchSize),
      0,
    )
  }

  /** Trains them, one after the other, and measures each on its layers. Yields the steps done; `null` without any. */
  async *run(runtime: Runtime, train: Train): AsyncGenerator<number, HeldOut | null> {
    const { chains, judged } = this.stored
    const perChain = this.store.layerCount / chains
    const measured: HeldOut['layers'][number][] = []
    let before = 0
    for (const { layers, samples, settings } of this.folds) {
      const training = train(samples, settings)
      let next = await training.next()
      while (!next.done) {
        yield before + next.value.step
        next = await training.next()
      }
      const { shape, weights, steps } = next.value
      before += steps
      const kernel = await PredictorKernel.create(runtime, shape, weights)
      for (const layer of layers) {
        const targets = Array.from({ length: judged }, (_, chain) => chain * perChain + layer)
        const own = new Samples(this.store, targets)
        measured.push({ layer, ...(await measurePredictor(kernel, own)) })
      }
      await kernel.dispose()
    }
    if (measured.length === 0) return null
    measured.sort((a, b) => a.layer - b.layer)
    return { ...pooled(measured), layers: measured }
  }
}
