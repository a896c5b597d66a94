import type { PredictorSettings } from '@shared/predictorSettings'
import { countSteps } from '@shared/predictorSettings'
import { AppError } from '@shared/errors'
import { bytesOfPrecision, type Precision } from '../decomposition/CoordinateStore'
import { adamwSchedule } from '../../onnx/adamw'
import type { Kernel, Runtime, Tensor } from '../../onnx/Runtime'
import type { Random } from '../../lib/random'
import { packWeights, parameterGroups, unpackWeights, type ParameterGroup } from './parameterGroups'
import { initialWeights, type PredictorShape, type PredictorWeights } from './predictor'
import type { SamplePlaces, Samples } from './Samples'
import { stateNames, trainingGraph } from './trainingGraph'

/** Elements of a large weight that the optimiser treats at once on the CPU: 1 MiB, of which a core's cache holds some. */
const CPU_BLOCK = 2 ** 18

/** A run of the training graph should last about this long: a run copies its state, and cannot be stopped. */
const RUN_MS = 1000
const MAX_STEPS_A_RUN = 1024

/** The first run finds the pace. */
const FIRST_STEPS = 8

/** Bytes of samples' rows in one run, where they are copied for it. */
const MAX_BYTES_A_RUN = 64e6

/** Bytes of one tensor on a device; several take the rows' columns when they are more. Every GPU in use takes this. */
const MAX_SLAB_BYTES = 2 ** 30

const PLANNED_BATCH = 64

/**
 * The most bytes of copied rows in one run of the training graph, at the usual batch size: a small share of all rows, or
 * copying some of them would take more memory than having them all.
 */
export function maxRunBytes(width: number, allBytes: number): number {
  const step = PLANNED_BATCH * 3 * width * Float32Array.BYTES_PER_ELEMENT
  return Math.max(step, Math.min(MAX_BYTES_A_RUN, MAX_STEPS_A_RUN * step, allBytes / 4))
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
  const shape: PredictorShape = { width: samples.width, hidden: settings.hiddenSize }
  const steps = countSteps(settings.length, samples.count, settings.batchSize)
  const run = await TrainingRun.start(runtime, samples, settings, random.initial, residentBytes)
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
    private readonly resident: ResidentRows | null,
    private readonly settings: PredictorSettings,
  ) {}

  static async start(
    runtime: Runtime,
    samples: Samples,
    settings: PredictorSettings,
    random: Random,
    residentBytes: number,
  ): Promise<TrainingRun> {
    const shape = { width: samples.width, hidden: settings.hiddenSize }
    const groups = parameterGroups(shape, runtime.device === 'cpu' ? CPU_BLOCK : Infinity)
    const resident = stateNames(groups).map((name) => `${name}.next`)
    const rows = await residentRows(runtime, samples, residentBytes)
    const slabs = rows?.slabs.map(({ dims }) => dims[1] ?? 0) ?? [samples.width]
    const tensors = { precision: precisionOn(runtime, samples), slabs }
    const graph = trainingGraph(shape, groups, tensors, settings.lambda, settings)
    const kernel = await runtime.compile(graph, { resident })
    const state = new Map<string, Tensor>()
    for (const [name, values] of packWeights(shape, groups, initialWeights(shape, random))) {
      state.set(`${name}.value`, runtime.float32(values, [values.length]))
      for (const moment of ['first', 'second']) {
        const zeros = new Float32Array(values.length)
        state.set(`${name}.${moment}`, runtime.float32(zeros, [values.length]))
      }
    }
    return new TrainingRun(runtime, kernel, groups, state, samples, rows, settings)
  }

  /** How many mini-batches the next run should take, from the time the last ones took. */
  stepsAtOnce(batch: number): number {
    const { width, rowCount } = this.samples
    const rowBytes = width * bytesOfPrecision(precisionOn(this.runtime, this.samples))
    const copied = maxRunBytes(width, rowCount * rowBytes)
    const byTime = this.msPerStep === null ? FIRST_STEPS : Math.round(RUN_MS / this.msPerStep)
    const bySize = this.resident ? Infinity : Math.floor(copied / (3 * batch * rowBytes))
    return Math.max(1, Math.min(byTime, MAX_STEPS_A_RUN, bySize))
  }

  /** Takes `count` steps on the samples at `indices`, the same number for each; returns each step's loss. */
  async advance(indices: Uint32Array, count: number): Promise<Float32Array> {
    const { runtime } = this
    const batch = indices.length / count
    const started = performance.now()
    const { slabs, scales, places } = this.#rows(indices)
    const schedule = Float32Array.from(
      Array.from({ length: count }, (_, i) =>
        adamwSchedule(this.step + i + 1, this.settings),
      ).flat(),
    )
    const results = await this.kernel.run({
      steps: runtime.int64(BigInt64Array.of(BigInt(count)), []),
      ...Object.fromEntries(slabs.map((slab, index) => [`rows.${index}`, slab])),
      scales,
      left: runtime.int32(places.left, [count, batch]),
      right: runtime.int32(places.right, [count, batch]),
      target: runtime.int32(places.target, [count, batch]),
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

  #rows(indices: Uint32Array): Omit<ResidentRows, 'layerRows'> & { places: SamplePlaces } {
    const { resident, samples, runtime } = this
    if (resident) return { ...resident, places: samples.locate(indices, resident.layerRows) }
    const { rows, scales, places } = samples.copy(indices, precisionOn(runtime, samples))
    const count = scales.length
    return {
      slabs: [runtime.stored(rows, [count, samples.width])],
      scales: runtime.float32(scales, [count]),
      places,
    }
  }

  /** The trained parameters. Ends the run. */
  async finish(): Promise<PredictorWeights> {
    const { runtime } = this
    const shape = { width: this.samples.width, hidden: this.settings.hiddenSize }
    const values = new Map<string, Float32Array>()
    for (const { name } of this.groups) {
      const tensor = this.state.get(`${name}.value`)
      if (tensor) values.set(name, await runtime.read(tensor))
    }
    const weights = unpackWeights(shape, this.groups, values)
    for (const tensor of this.state.values()) runtime.release(tensor)
    if (runtime.keepsTensors && this.resident) {
      for (const tensor of [...this.resident.slabs, this.resident.scales]) runtime.release(tensor)
    }
    await this.kernel.dispose()
    return weights
  }
}

/** All samples' rows, columns split where one tensor would be too large. */
interface ResidentRows {
  /** `[rows, columns]` each. */
  readonly slabs: readonly Tensor[]
  /** What each row is to be multiplied by, `[rows]`. */
  readonly scales: Tensor
  /** Rows of a layer among them. */
  readonly layerRows: number
}

/** Brings all rows to the device, or `null`: they would not fit there, or it keeps no tensors. */
async function residentRows(
  runtime: Runtime,
  samples: Samples,
  residentBytes: number,
): Promise<ResidentRows | null> {
  const { all, width, rowCount, rank, storedRank } = samples
  if (runtime.device === 'cpu') {
    if (!all) return null
    // They are there already.
    const count = all.scales.length
    return {
      slabs: [runtime.stored(all.rows, [count, width])],
      scales: runtime.float32(all.scales, [count]),
      layerRows: storedRank,
    }
  }
  const columnBytes = rowCount * Float32Array.BYTES_PER_ELEMENT
  if (!runtime.keepsTensors || columnBytes * width > residentBytes) return null
  const step = Math.max(1, Math.floor(MAX_SLAB_BYTES / columnBytes))
  const slabs: Tensor[] = []
  for (let start = 0; start < width; start += step) {
    const end = Math.min(width, start + step)
    slabs.push(await runtime.upload(samples.columns(start, end), [rowCount, end - start]))
  }
  const scales = await runtime.upload(samples.columnScales(), [rowCount])
  return { slabs, scales, layerRows: rank }
}

/** How a device takes the samples' rows: 16-bit integers are for the CPU only, others have no operators for them. */
function precisionOn(runtime: Runtime, samples: Samples): Precision {
  return runtime.device === 'cpu' ? samples.precision : 'float32'
}

function diverged(step: number): AppError {
  return new AppError('numeric_failure', 'The predictor diverged: its loss is not finite.', {
    hint: 'Lower the learning rate.',
    context: { stage: `training step ${step}` },
  })
}
