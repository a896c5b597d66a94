import type { PredictorSettings } from '@shared/predictorSettings'
import { countSteps } from '@shared/predictorSettings'
import { AppError } from '@shared/errors'
import { adamwSchedule } from '../onnx/adamw'
import type { Runtime, Tensor } from '../onnx/Runtime'
import type { Random } from '../random'
import {
  initialWeights,
  type ParameterName,
  type PredictorShape,
  type PredictorWeights,
} from './predictor'
import type { Samples } from './Samples'
import { parameterGroups, stateNames, trainingGraph, type ParameterGroup } from './trainingGraph'

/** A run of the training graph should last about this long: often enough to cancel, long enough to be worth a call. */
const RUN_MS = 200
const MAX_STEPS_A_RUN = 256
const MAX_BYTES_A_RUN = 64e6

const PLANNED_BATCH = 64

/** The most bytes of samples (inputs and targets) in one run of the training graph, at the usual batch size. */
export function maxRunBytes(width: number): number {
  const step = PLANNED_BATCH * 3 * width * Float32Array.BYTES_PER_ELEMENT
  return Math.min(MAX_BYTES_A_RUN, MAX_STEPS_A_RUN * step)
}

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
 * @throws AppError `numeric_failure` when the loss stops being finite.
 */
export async function* trainPredictor(
  runtime: Runtime,
  samples: Samples,
  settings: PredictorSettings,
  random: { readonly initial: Random; readonly shuffle: Random },
): AsyncGenerator<TrainingProgress, TrainedPredictor> {
  const shape: PredictorShape = { width: samples.width, hidden: settings.hiddenSize }
  const steps = countSteps(settings.length, samples.count, settings.batchSize)
  const run = await TrainingRun.start(runtime, shape, settings, random.initial)
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
      const count = Math.min(run.stepsAtOnce(batch), Math.floor(left / batch), steps - step)
      const losses = await run.advance(samples, order.subarray(start, start + count * batch), count)
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
  return { shape, weights: await run.finish(), steps, lossPerEpoch }
}

/** The optimiser's state between runs of the training graph. */
class TrainingRun {
  private step = 0
  private msPerStep: number | null = null

  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Awaited<ReturnType<Runtime['compile']>>,
    private readonly groups: readonly ParameterGroup[],
    private readonly state: Map<string, Tensor>,
    private readonly shape: PredictorShape,
    private readonly settings: PredictorSettings,
  ) {}

  static async start(
    runtime: Runtime,
    shape: PredictorShape,
    settings: PredictorSettings,
    random: Random,
  ): Promise<TrainingRun> {
    const groups = parameterGroups(shape)
    const resident = stateNames(groups).map((name) => `${name}.next`)
    const kernel = await runtime.compile(trainingGraph(shape, settings.lambda, settings), {
      resident,
    })
    const weights = initialWeights(shape, random)
    const state = new Map<string, Tensor>()
    for (const group of groups) {
      const value = new Float32Array(group.size)
      let start = 0
      for (const { name, size } of group.members) {
        value.set(weights[name], start)
        start += size
      }
      state.set(`${group.name}.value`, runtime.float32(value, [group.size]))
      for (const moment of ['first', 'second']) {
        const zeros = new Float32Array(group.size)
        state.set(`${group.name}.${moment}`, runtime.float32(zeros, [group.size]))
      }
    }
    return new TrainingRun(runtime, kernel, groups, state, shape, settings)
  }

  /** How many mini-batches the next run should take, from the time the last ones took. */
  stepsAtOnce(batch: number): number {
    const bytes = batch * 3 * this.shape.width * Float32Array.BYTES_PER_ELEMENT
    const byTime = this.msPerStep === null ? 8 : Math.round(RUN_MS / this.msPerStep)
    return Math.max(1, Math.min(byTime, MAX_STEPS_A_RUN, Math.floor(MAX_BYTES_A_RUN / bytes)))
  }

  /** Takes `count` steps on the samples at `indices`, the same number for each; returns each step's loss. */
  async advance(samples: Samples, indices: Uint32Array, count: number): Promise<Float32Array> {
    const { runtime, shape } = this
    const batch = indices.length / count
    const started = performance.now()
    const x = new Float32Array(indices.length * 2 * shape.width)
    const y = new Float32Array(indices.length * shape.width)
    samples.fill(indices, x, y)
    const schedule = Float32Array.from(
      Array.from({ length: count }, (_, i) =>
        adamwSchedule(this.step + i + 1, this.settings),
      ).flat(),
    )
    const results = await this.kernel.run({
      steps: runtime.int64(BigInt64Array.of(BigInt(count)), []),
      x: runtime.float32(x, [count, batch, 2 * shape.width]),
      y: runtime.float32(y, [count, batch, shape.width]),
      schedule: runtime.float32(schedule, [count, 2]),
      ...Object.fromEntries(this.state),
    })
    for (const [name, before] of this.state) {
      this.state.set(name, results.one(`${name}.next`))
      runtime.release(before)
    }
    this.step += count
    this.msPerStep = (performance.now() - started) / count
    return results.floats('loss')
  }

  /** The trained parameters. Ends the run. */
  async finish(): Promise<PredictorWeights> {
    const weights: Partial<Record<ParameterName, Float32Array>> = {}
    for (const group of this.groups) {
      const tensor = this.state.get(`${group.name}.value`)
      if (!tensor) throw new AppError('bug', `No state for ${group.name}.`)
      const flat = await this.runtime.read(tensor)
      let start = 0
      for (const { name, size } of group.members) {
        weights[name] = flat.slice(start, start + size)
        start += size
      }
    }
    for (const tensor of this.state.values()) this.runtime.release(tensor)
    await this.kernel.dispose()
    return weights as PredictorWeights
  }
}

function diverged(step: number): AppError {
  return new AppError('numeric_failure', 'The predictor diverged: its loss is not finite.', {
    hint: 'Lower the learning rate.',
    context: { stage: `training step ${step}` },
  })
}
