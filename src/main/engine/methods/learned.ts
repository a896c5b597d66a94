import type { JobEvent, PredictorReport } from '@shared/jobs'
import type { LearnedMethodSpec } from '@shared/methods'
import type { ExpansionPlan, PlannedLayer } from '@shared/plan'
import { countSteps } from '@shared/predictorSettings'
import { WEIGHT_TYPES, type WeightType } from '@shared/weightTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { CoordinateStore } from '../decomposition/CoordinateStore'
import { decompose, withoutDecomposition, type Decomposition } from '../decomposition/decompose'
import type { Runtime } from '../onnx/Runtime'
import type { TrainedPredictor } from '../predictor/train'
import { PredictorKernel } from '../predictor/PredictorKernel'
import { measurePredictor } from '../predictor/quality'
import { Samples } from '../predictor/Samples'
import { trainPredictor } from '../predictor/train'
import { Random } from '../random'
import { Reconstructor } from '../reconstruction/reconstruct'
import { reporting } from '../tasks/reporting'
import { LayerWeights } from './LayerWeights'

type ComputedLayer = Extract<PlannedLayer, { kind: 'computed' }>

/** The layers to be computed with their indices in the grown model, neighbours before those that need them. */
export function computedLayers(
  plan: ExpansionPlan,
): (ComputedLayer & { readonly index: number })[] {
  return plan.layers
    .flatMap((layer, index) => (layer.kind === 'computed' ? [{ ...layer, index }] : []))
    .sort((a, b) => a.depth - b.depth || a.index - b.index)
}

export interface LearnedContext {
  readonly runtime: Runtime
  readonly checkpoint: Checkpoint
  readonly plan: ExpansionPlan
  readonly method: LearnedMethodSpec
  readonly seed: number
  readonly signal: AbortSignal
  /** Takes a new layer's matrix `[d_out, d_in]`, float32. */
  readonly keepWeights: (index: number, type: WeightType, weights: Float32Array) => Promise<void>
  readonly keepPredictor: (type: WeightType, predictor: TrainedPredictor) => Promise<void>
}

/** The three stages of a weight type, as steps of the job. */
export const LEARNED_STAGES = ['decompose', 'train', 'predict'] as const
const STAGE_LABELS = { decompose: 'decompose', train: 'train predictor', predict: 'predict layers' }

/** Steps of the whole method with their relative costs, in floating-point operations. */
export function learnedSteps(
  checkpoint: Checkpoint,
  plan: ExpansionPlan,
  method: LearnedMethodSpec,
): { id: string; label: string; weight: number }[] {
  return WEIGHT_TYPES.flatMap((type) => {
    const { rows, width, layerCount } = new LayerWeights(checkpoint, type)
    const { hiddenSize, batchSize, length } = method.predictor
    const steps = countSteps(length, (layerCount - 2) * rows, batchSize)
    const parameters = hiddenSize * (3 * width + hiddenSize)
    const cost = {
      decompose: method.useSvd ? 3 * rows ** 2 * width * layerCount + 18 * rows ** 3 : 1,
      // The optimiser's passes over memory weigh about as much as the products.
      train: steps * parameters * (6 * batchSize + 400),
      predict: plan.newLayers.length * (2 * rows ** 2 * width + 2 * rows * parameters),
    }
    return LEARNED_STAGES.map((stage) => ({
      id: `${type}/${stage}`,
      label: `${type}: ${STAGE_LABELS[stage]}`,
      weight: cost[stage],
    }))
  })
}

/** LESA for one weight type: decompose, train its predictor, predict and keep every new layer's matrix. */
export async function* predictWeightType(
  context: LearnedContext,
  type: WeightType,
): AsyncGenerator<JobEvent, PredictorReport> {
  const source = new LayerWeights(context.checkpoint, type)
  const decomposition = yield* decomposeStage(context, source)
  try {
    const { predictor, report } = yield* trainStage(context, type, decomposition)
    await context.keepPredictor(type, predictor)
    yield* predictStage(context, type, decomposition, predictor)
    return report
  } finally {
    decomposition.coordinates.close()
  }
}

async function* decomposeStage(
  { runtime, method, signal }: LearnedContext,
  source: LayerWeights,
): AsyncGenerator<JobEvent, Decomposition> {
  const id = `${source.weightType}/decompose`
  yield { type: 'step', id, done: 0, total: 1 }
  try {
    return yield* reporting<JobEvent, Decomposition>(signal, (report) => {
      const options = {
        energy: method.energy,
        createStore: (layerCount: number, rank: number, width: number) =>
          CoordinateStore.inMemory(layerCount, rank, width),
        onProgress: (done: number) => report({ type: 'step', id, done, total: 1 }),
      }
      return method.useSvd
        ? decompose(runtime, source, options)
        : withoutDecomposition(source, options)
    })
  } catch (error) {
    if (!signal.aborted) await source.refuseNonFinite()
    throw error
  }
}

async function* trainStage(
  { runtime, method, seed, signal }: LearnedContext,
  type: WeightType,
  decomposition: Decomposition,
): AsyncGenerator<JobEvent, { predictor: TrainedPredictor; report: PredictorReport }> {
  const { coordinates } = decomposition
  const { holdout } = method
  const samples = new Samples(coordinates, holdout === undefined ? {} : { without: holdout })
  const training = trainPredictor(runtime, samples, method.predictor, {
    initial: new Random(seed, type, 'initial'),
    shuffle: new Random(seed, type, 'shuffle'),
  })
  const id = `${type}/train`
  let next = await training.next()
  while (!next.done) {
    const { step, steps, loss, epoch } = next.value
    yield { type: 'metric', series: `loss/${type}`, x: [step], y: [loss] }
    if (epoch) {
      yield { type: 'metric', series: `epoch_loss/${type}`, x: [epoch.number], y: [epoch.loss] }
    }
    yield { type: 'step', id, done: step, total: steps }
    signal.throwIfAborted()
    next = await training.next()
  }
  const predictor = next.value
  const kernel = await PredictorKernel.create(runtime, predictor.shape, predictor.weights)
  const { cosine: _, ...quality } = await measurePredictor(kernel, samples)
  const held =
    holdout === undefined
      ? undefined
      : await measurePredictor(kernel, new Samples(coordinates, { only: holdout }))
  await kernel.dispose()
  const report: PredictorReport = {
    weightType: type,
    rank: decomposition.rank,
    samples: samples.count,
    steps: predictor.steps,
    lossPerEpoch: predictor.lossPerEpoch,
    ...quality,
    ...(held && holdout !== undefined ? { holdout: { layer: holdout, ...held } } : {}),
  }
  return { predictor, report }
}

async function* predictStage(
  context: LearnedContext,
  type: WeightType,
  decomposition: Decomposition,
  predictor: TrainedPredictor,
): AsyncGenerator<JobEvent, void> {
  const { runtime, plan, method, seed, signal } = context
  const kernel = await PredictorKernel.create(runtime, predictor.shape, predictor.weights)
  const reconstructor = await Reconstructor.create(runtime, decomposition)
  const layers = computedLayers(plan)
  // A layer predicted between two others may itself be a neighbour of the next one; keep only those that are.
  const neighbours = new Set(layers.flatMap(({ left, right }) => [left, right]))
  const predicted = new Map<number, Float32Array>()
  const coordinatesOf = (index: number): Float32Array => {
    const layer = plan.layers[index]
    return predicted.get(index) ?? decomposition.coordinates.layer(layer?.source ?? 0)
  }
  const id = `${type}/predict`
  try {
    for (const [done, { index, left, right }] of layers.entries()) {
      signal.throwIfAborted()
      const coordinates = await kernel.predict(coordinatesOf(left), coordinatesOf(right))
      if (neighbours.has(index)) predicted.set(index, coordinates)
      const weights = await reconstructor.weights(coordinates)
      await context.keepWeights(
        index,
        type,
        method.name === 'noise'
          ? noiseLike(weights, new Random(seed, type, 'noise', index))
          : weights,
      )
      yield { type: 'step', id, done: done + 1, total: layers.length }
    }
  } finally {
    await kernel.dispose()
    await reconstructor.dispose()
  }
}

/** Gaussian entries with the Frobenius norm of `weights`: the control that a prediction has to beat. */
function noiseLike(weights: Float32Array, random: Random): Float32Array {
  const noise = Float32Array.from(weights, () => random.normal())
  const scale = frobenius(weights) / frobenius(noise)
  return noise.map((value) => value * scale)
}

function frobenius(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}
