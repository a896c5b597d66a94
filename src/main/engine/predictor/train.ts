import type { PredictorSettings } from '@shared/predictorSettings'
import { countSteps } from '@shared/predictorSettings'
import { AppError } from '@shared/errors'
import { adamwSchedule } from '../onnx/adamw'
import type { Kernel, Runtime, Tensor } from '../onnx/Runtime'
import type { Random } from '../random'
import { initialWeights, type PredictorShape, type PredictorWeights } from './predictor'
import type { Samples } from './Samples'
import {
  copyGroup,
  parameterGroups,
  sizeOf,
  stateNames,
  trainingGraph,
  type ParameterGroup,
} from './trainingGraph'

/** A run of the training graph should last about this long: a run copies its state, and cannot be stopped. */
const RUN_MS = 500
const MAX_STEPS_A_RUN = 1024

/** The first run finds the pace. */
const FIRST_STEPS = 8

/** Bytes of samples' rows in one run, where they are copied for it. */
const MAX_BYTES_A_RUN = 64e6

/** Elements of a weight that the optimiser treats at once on a processor with caches. */
const PIECE_SIZE = 131_072

/** Rows stay on a device while it trains where they take up to this much of its memory. */
const MAX_RESIDENT_BYTES = 2 ** 30

const PLANNED_BATCH = 64

/** The most bytes of copied rows in one run of the training graph, at the usual batch size. */
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
  const run = await TrainingRun.start(runtime, samples, settings, random.initial)
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
      const losses = await run.advance(order.subarray(start, start + count * batch), count)
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
    private readonly kernel: Kernel,
    private readonly groups: readonly ParameterGroup[],
    private readonly state: Map<string, Tensor>,
    private readonly samples: Samples,
    /** All rows, where the device can use them from run to run; `null` where each run brings its own. */
    private readonly all: Tensor | null,
    private readonly weights: PredictorWeights,
    private readonly settings: PredictorSettings,
  ) {}

  static async start(
    runtime: Runtime,
    samples: Samples,
    settings: PredictorSettings,
    random: Random,
  ): Promise<TrainingRun> {
    const shape = { width: samples.width, hidden: settings.hiddenSize }
    const groups = parameterGroups(shape, runtime.device === 'cpu' ? PIECE_SIZE : Infinity)
    const resident = stateNames(groups).map((name) => `${name}.next`)
    const kernel = await runtime.compile(trainingGraph(shape, groups, settings.lambda, settings), {
      resident,
    })
    const weights = initialWeights(shape, random)
    const state = new Map<string, Tensor>()
    for (const group of groups) {
      const size = sizeOf(group.pieces)
      const value = new Float32Array(size)
      copyGroup(group, shape, weights, value, 'from weights')
      state.set(`${group.name}.value`, runtime.float32(value, group.dims))
      for (const moment of ['first', 'second']) {
        state.set(`${group.name}.${moment}`, runtime.float32(new Float32Array(size), group.dims))
      }
    }
    const all = await allRows(runtime, samples)
    return new TrainingRun(runtime, kernel, groups, state, samples, all, weights, settings)
  }

  /** How many mini-batches the next run should take, from the time the last ones took. */
  stepsAtOnce(batch: number): number {
    const bytes = batch * 3 * this.samples.width * Float32Array.BYTES_PER_ELEMENT
    const byTime = this.msPerStep === null ? FIRST_STEPS : Math.round(RUN_MS / this.msPerStep)
    const bySize = this.all ? Infinity : Math.floor(MAX_BYTES_A_RUN / bytes)
    return Math.max(1, Math.min(byTime, MAX_STEPS_A_RUN, bySize))
  }

  /** Takes `count` steps on the samples at `indices`, the same number for each; returns each step's loss. */
  async advance(indices: Uint32Array, count: number): Promise<Float32Array> {
    const { runtime, samples } = this
    const { width } = samples
    const batch = indices.length / count
    const started = performance.now()
    const copied = this.all ? undefined : new Float32Array(3 * indices.length * width)
    const { left, right, target } = samples.locate(indices, copied)
    const schedule = Float32Array.from(
      Array.from({ length: count }, (_, i) =>
        adamwSchedule(this.step + i + 1, this.settings),
      ).flat(),
    )
    const results = await this.kernel.run({
      steps: runtime.int64(BigInt64Array.of(BigInt(count)), []),
      rows: this.all ?? runtime.float32(copied!, [3 * indices.length, width]),
      left: runtime.int32(left, [count, batch]),
      right: runtime.int32(right, [count, batch]),
      target: runtime.int32(target, [count, batch]),
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
    const { runtime, weights, samples, settings } = this
    const shape = { width: samples.width, hidden: settings.hiddenSize }
    for (const group of this.groups) {
      const tensor = this.state.get(`${group.name}.value`)
      if (!tensor) throw new AppError('bug', `No state for ${group.name}.`)
      copyGroup(group, shape, weights, await runtime.read(tensor), 'to weights')
    }
    for (const tensor of this.state.values()) runtime.release(tensor)
    if (this.all && runtime.keepsTensors) runtime.release(this.all)
    await this.kernel.dispose()
    return weights
  }
}

/** All rows in the device's memory; on the CPU that is where they are. `null` where they are not one array, or too long. */
async function allRows(runtime: Runtime, samples: Samples): Promise<Tensor | null> {
  const { all, width } = samples
  const canHold =
    runtime.device === 'cpu' ||
    (runtime.keepsTensors && (all?.byteLength ?? 0) <= MAX_RESIDENT_BYTES)
  return all && canHold ? runtime.upload(all, [all.length / width, width]) : null
}

function diverged(step: number): AppError {
  return new AppError('numeric_failure', 'The predictor diverged: its loss is not finite.', {
    hint: 'Lower the learning rate.',
    context: { stage: `training step ${step}` },
  })
}
