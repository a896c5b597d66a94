import type { PredictorSettings } from '@shared/predictorSettings'
import { countSteps } from '@shared/predictorSettings'
import { AppError } from '@shared/errors'
import type { Random } from '../../lib/random'
import { collectGarbage } from '../../onnx/hostMemory'
import type { Runtime } from '../../onnx/Runtime'
import { Trainer } from '../../training/Trainer'
import {
  initialWeights,
  predictorParameters,
  type PredictorShape,
  type PredictorWeights,
} from './predictor'
import { SampleRows } from './SampleRows'
import type { Samples } from './Samples'
import { trainingGraph } from './trainingGraph'

export interface TrainingProgress {
  readonly step: number
  readonly steps: number
  /** Mean loss of the mini-batches since the last report. */
  readonly loss: number
  /** Set when an epoch has just ended: its number, from 1, and the mean loss of its mini-batches. */
  readonly epoch?: { readonly number: number; readonly loss: number }
}

export interface TrainedPredictor {
  readonly shape: PredictorShape
  readonly weights: PredictorWeights
  readonly steps: number
  readonly lossPerEpoch: readonly number[]
}

/**
 * Trains a predictor from PyTorch's default initialisation, samples shuffled each epoch, the last mini-batch of an epoch
 * as small as it comes (PyTorch's DataLoader default).
 *
 * @param residentBytes Memory of a device that all samples' rows may take, so that each goes there once; where they do not
 *   fit, every run brings its own. On the CPU rows are used where they lie.
 * @throws AppError `numeric_failure` when the loss stops being finite.
 */
export async function* trainPredictor(
  runtime: Runtime,
  samples: Samples,
  settings: PredictorSettings,
  random: { readonly initial: Random; readonly shuffle: Random },
  residentBytes = 0,
): AsyncGenerator<TrainingProgress, TrainedPredictor> {
  collectGarbage()
  const shape: PredictorShape = { width: samples.width, hidden: settings.hiddenSize }
  const steps = countSteps(settings.length, samples.count, settings.batchSize)
  const rows = await SampleRows.create(runtime, samples, residentBytes)
  const trainer = await Trainer.start(runtime, {
    parameters: predictorParameters(shape),
    state: { step: 0, value: initialWeights(shape, random.initial), moments: null },
    settings,
    graph: (groups) => trainingGraph(groups, rows.tensors, settings.lambda, settings),
  })
  const order = Uint32Array.from({ length: samples.count }, (_, index) => index)
  const lossPerEpoch: number[] = []
  let step = 0
  while (step < steps) {
    random.shuffle.shuffle(order)
    let epochLoss = 0
    let epochSteps = 0
    let start = 0
    while (start < order.length && step < steps) {
      const left = order.length - start
      const batch = Math.min(settings.batchSize, left)
      const atOnce = Math.min(trainer.stepsAtOnce, rows.mostSteps(batch))
      const count = Math.min(atOnce, Math.floor(left / batch), steps - step)
      const picked = order.subarray(start, start + count * batch)
      const losses = await trainer.advance(count, () => rows.feeds(picked, count))
      const sum = losses.reduce((total, loss) => total + loss, 0)
      if (!Number.isFinite(sum)) throw diverged(step)
      start += count * batch
      step += count
      epochLoss += sum
      epochSteps += count
      const ended = start >= order.length || step === steps
      if (ended) lossPerEpoch.push(epochLoss / epochSteps)
      yield {
        step,
        steps,
        loss: sum / count,
        ...(ended ? { epoch: { number: lossPerEpoch.length, loss: epochLoss / epochSteps } } : {}),
      }
    }
  }
  const weights = await trainer.values()
  await trainer.dispose()
  rows.release()
  return { shape, weights, steps, lossPerEpoch }
}

function diverged(step: number): AppError {
  return new AppError('numeric_failure', 'The predictor diverged: its loss is not finite.', {
    hint: 'Lower the learning rate.',
    context: { stage: `training step ${step}` },
  })
}
