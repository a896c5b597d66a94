import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Device } from '@shared/devices'
import { AppError } from '@shared/errors'
import {
  TENSOR_DTYPES,
  type JobEvent,
  type JobStep,
  type OutputDtype,
  type PredictorReport,
  type TensorDtype,
} from '@shared/jobs'
import type { LearnedMethodSpec } from '@shared/methods'
import type { ExpansionPlan } from '@shared/plan'
import { saveDirections, topDirection } from './directions'
import type { Alignment } from '../alignment/Alignment'
import type { ExpertChains } from '../alignment/ExpertChains'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { decodeToFloat32, encodeFromFloat32, isTensorDtype, newDtype } from '../checkpoint/dtypes'
import { describeLosses, RangeCount, refuseLosses, type RangeLoss } from '../checkpoint/range'
import { readFully } from '../checkpoint/FilePool'
import { CoordinateStore, type StoreShape } from './decomposition/CoordinateStore'
import { decompose, withoutDecomposition, type Decomposition } from './decomposition/decompose'
import {
  coordinateFile,
  loadDecomposition,
  saveDecomposition,
} from './decomposition/storedDecomposition'
import { writePredictor } from './predictor/predictorFile'
import { layersStay, planMemory, residentBytes } from './memory'
import type { Runtime } from '../onnx/Runtime'
import { PredictorKernel, type RowReader } from './predictor/PredictorKernel'
import { HeldOutTrainings, type HeldOut, type Train } from './predictor/heldOut'
import { measurePredictor } from './predictor/quality'
import { Samples, targetsIn } from './predictor/Samples'
import { trainPredictor, type TrainedPredictor } from './predictor/train'
import { newCourse, noting, replay, writeCourse } from './course'
import { Random } from '../lib/random'
import { Reconstructor } from './reconstruct'
import type { StageStore } from '../stages/StageStore'
import { reporting } from '../lib/reporting'
import { readError } from '@system/errors'
import { ENGINE_VERSION } from '../lib/version'
import { weightOf } from '../lib/work'
import {
  computedIn,
  computedLayers,
  heldOutIn,
  seriesNamed,
  seriesOf,
  wholeSeries,
  type Series,
} from './series'
import { StackedMatrix } from './StackedMatrix'
import { LEARNED_STAGES, learnedWork } from './work'

/** What a weight type's results depend on, and where they are kept. */
export interface StageContext {
  readonly device: Device
  readonly checkpoint: Checkpoint
  /** Of the checkpoint: results of another one are never taken for its own. */
  readonly fingerprint: string
  /** Further checkpoints that predictors learn from, and their fingerprints. */
  readonly also?: readonly Checkpoint[]
  readonly alsoFingerprints?: readonly string[]
  readonly plan: ExpansionPlan
  /** Orders in which all layers' neurons and heads go together; without them each layer is as it is. */
  readonly alignment?: Alignment | null
  /** Which experts of the layers go together. */
  readonly experts?: ExpertChains | null
  readonly method: LearnedMethodSpec
  readonly dtype: OutputDtype
  /** Predictions that the element type cannot hold become infinite, which is otherwise refused. */
  readonly allowOverflow: boolean
  readonly seed: number
  readonly signal: AbortSignal
  readonly stages: StageStore
  /** What becomes of the predictions before they are kept: the filler that the method asks for. */
  readonly finish: (predict: MatrixFiller) => MatrixFiller
  /** Bytes of host memory that the process may use; most of what is free by default. */
  readonly memoryBytes: number | undefined
  /** Bytes of a GPU's memory that layers and samples may take. */
  readonly deviceMemoryBytes: number | undefined
}

/** A matrix of a new layer: its index in the grown model and, of experts, which chain it is of. */
export interface FilledPlace {
  readonly layer: number
  readonly chain: number
}

/** Computes a weight type's matrix `[rows, width]`. */
export type MatrixFiller = (type: string, place: FilledPlace) => Promise<Float32Array>

export interface LearnedContext extends StageContext {
  readonly runtime: Runtime
}

/** A finished weight type. */
export interface PredictedType {
  /** Of its series. */
  readonly type: string
  /** As of `Slot`. */
  readonly slot: string
  readonly report: PredictorReport
  /** Holds {@link predictedFile} of every new layer and `predictor.safetensors`. */
  readonly folder: string
  /** Element types of the new layers' matrices, by index in the grown model. */
  readonly dtypes: ReadonlyMap<number, TensorDtype>
}

/**
 * A new layer's matrix within a type's folder, or one of its experts': elements in the output dtype, little-endian,
 * row-major.
 */
export function predictedFile(folder: string, index: number, expert: number | null = null): string {
  return join(folder, expert === null ? `${index}.bin` : `${index}-${expert}.bin`)
}

/** The values of {@link predictedFile}, some at a time. */
export async function* readPredicted(
  { folder, dtypes }: PredictedType,
  index: number,
  expert: number | null = null,
): AsyncGenerator<Float32Array> {
  const file = predictedFile(folder, index, expert)
  const dtype = dtypes.get(index)
  if (dtype === undefined) throw new AppError('bug', `Layer ${index} was not predicted.`)
  const handle = await open(file).catch((error: unknown) => {
    throw readError(error, file, 'damaged_file')
  })
  try {
    const { size } = await handle.stat()
    for (let at = 0; at < size; at += CHUNK_BYTES) {
      const bytes = new Uint8Array(Math.min(CHUNK_BYTES, size - at))
      await readFully(handle, file, at, bytes)
      yield decodeToFloat32(bytes, dtype)
    }
  } finally {
    await handle.close()
  }
}

/** Bytes read at a time; a multiple of every element size. */
const CHUNK_BYTES = 2 ** 22

const PREDICTOR_FILE = 'predictor.safetensors'
export const predictorFile = (folder: string): string => join(folder, PREDICTOR_FILE)
const reportFile = (folder: string): string => join(folder, 'report.json')

const STAGE_LABELS = { decompose: 'decompose', train: 'train predictor', predict: 'predict layers' }

/** Steps of the whole method, with their work. */
export function learnedSteps(
  checkpoint: Checkpoint,
  plan: ExpansionPlan,
  method: LearnedMethodSpec,
  also: readonly Checkpoint[] = [],
): JobStep[] {
  return seriesOf(checkpoint, plan).flatMap((series) => {
    const source = new StackedMatrix(checkpoint, series, { also })
    const work = learnedWork(source, method, computedIn(series, plan).length)
    return LEARNED_STAGES.map((stage) => ({
      id: `${series.id}/${stage}`,
      label: `${series.id}: ${STAGE_LABELS[stage]}`,
      weight: weightOf(work[stage]),
    }))
  })
}

/** Of results, the checkpoints that they come from. */
function modelsOf({ fingerprint, alsoFingerprints = [] }: StageContext): object {
  return { model: fingerprint, ...(alsoFingerprints.length > 0 ? { also: alsoFingerprints } : {}) }
}

/** @throws AppError when a file of a checkpoint is not what it was. */
async function assertUnchanged({ checkpoint, also = [] }: StageContext): Promise<void> {
  for (const each of [checkpoint, ...also]) await each.assertUnchanged()
}

/** Everything that a weight type's new matrices depend on. */
function dependencies(context: StageContext, type: string): unknown {
  const { gaps: _, ...method } = context.method
  const types = predictedDtypes(context, type)
  return {
    engine: ENGINE_VERSION,
    ...modelsOf(context),
    device: context.device,
    type,
    method,
    // As they were before layers had a position, a label and sides: earlier results are still found.
    layers: computedLayers(context.plan).map(
      ({ position: _, label: __, sides: ___, ...layer }) => layer,
    ),
    ...partOf(context, type),
    dtype: context.dtype,
    // As they were before layers could differ in type: earlier results are still found.
    ...(new Set(types.values()).size > 1 ? { types: [...types] } : {}),
    ...(context.allowOverflow ? { allowOverflow: true } : {}),
    ...(context.alignment ? { align: true } : {}),
    seed: context.seed,
  }
}

/** What is not as in models whose layers are all alike: which layers a series has, and whether experts were matched. */
function partOf({ checkpoint, plan, experts }: StageContext, type: string): object {
  const series = seriesNamed(checkpoint, plan, type)
  const whole = wholeSeries(checkpoint, series.slot)
  return {
    ...(series.layers.length < whole.layers.length ? { of: series.layers } : {}),
    ...(series.experts !== null ? { experts: experts ? 'matched' : 'as they are' } : {}),
  }
}

/** The result of a weight type that was finished earlier, or what has become of it; `null` when there is none. */
export async function findPredicted(
  context: StageContext,
  type: string,
): Promise<PredictedType | { readonly damage: string } | null> {
  const found = await context.stages.find(`weights-${type}`, dependencies(context, type))
  if (found === null || 'damage' in found) return found
  const { folder } = found
  const report = JSON.parse(await readFile(reportFile(folder), 'utf8')) as PredictorReport
  const { slot } = seriesNamed(context.checkpoint, context.plan, type)
  return { type, slot, report, folder, dtypes: predictedDtypes(context, type) }
}

/** That something kept is of no use. */
const damaged = (type: string, damage: string): JobEvent => ({
  type: 'log',
  level: 'warning',
  text: `${type}: what was kept is not used, and computed again: ${damage}.`,
})

/** LESA for one weight type: decompose, train its predictor, predict and keep every new layer's matrix. */
export async function* predictWeightType(
  context: LearnedContext,
  type: string,
): AsyncGenerator<JobEvent, PredictedType> {
  const found = await findPredicted(context, type)
  if (found && 'damage' in found) yield damaged(type, found.damage)
  else if (found) {
    yield* replay(found.folder, type)
    yield { type: 'log', level: 'info', text: `${type}: taken from the job's folder` }
    return found
  }
  const draft = await context.stages.begin(`weights-${type}`, dependencies(context, type))
  const course = newCourse()
  try {
    const decomposition = yield* noting(
      course,
      'decompose',
      decomposeStage(context, type, draft.folder),
    )
    try {
      const training = trainStage(context, type, decomposition)
      const { predictor, report } = yield* noting(course, 'train', training)
      await writePredictor(predictorFile(draft.folder), predictor)
      const predicting = predictStage(context, type, decomposition, predictor, draft.folder)
      yield* noting(course, 'predict', predicting)
      await writeFile(reportFile(draft.folder), JSON.stringify(report))
      await writeCourse(draft.folder, course)
      await assertUnchanged(context)
      const dtypes = predictedDtypes(context, type)
      const { slot } = seriesNamed(context.checkpoint, context.plan, type)
      return { type, slot, report, folder: await draft.commit(), dtypes }
    } finally {
      decomposition.coordinates.close()
    }
  } finally {
    await draft.discard()
  }
}

/** Decomposes, or takes the decomposition that an earlier run in the same folder kept. */
async function* decomposeStage(
  context: LearnedContext,
  type: string,
  scratch: string,
): AsyncGenerator<JobEvent, Decomposition> {
  const { method, stages } = context
  const source = sourceOf(context, type)
  const inMemory = planMemory(source, context.memoryBytes).coordinates === 'memory'
  const id = `${type}/decompose`
  yield { type: 'step', id, done: 0, total: 1 }
  const depends = {
    engine: ENGINE_VERSION,
    ...modelsOf(context),
    device: context.device,
    type,
    useSvd: method.useSvd,
    energy: method.energy,
    precision: source.precision,
    ...(context.alignment ? { align: true } : {}),
    ...partOf(context, type),
  }
  const stage = `decomposition-${type}`
  const kept = await stages.find(stage, depends)
  if (kept && 'damage' in kept) yield damaged(type, kept.damage)
  else if (kept) {
    yield { type: 'step', id, done: 1, total: 1, kept: null }
    return loadDecomposition(kept.folder, inMemory)
  }
  const draft = stages.keeps ? await stages.begin(stage, depends) : null
  try {
    const file = coordinateFile(draft?.folder ?? scratch)
    const decomposition = yield* computeDecomposition(context, source, inMemory ? null : file)
    if (!draft) return decomposition
    await saveDecomposition(draft.folder, decomposition)
    await assertUnchanged(context)
    if (inMemory) {
      await draft.commit()
      return decomposition
    }
    // The file moves with its folder, which some systems allow only while it is closed.
    decomposition.coordinates.close()
    return await loadDecomposition(await draft.commit(), false)
  } finally {
    await draft?.discard()
  }
}

async function* computeDecomposition(
  { runtime, method, signal, deviceMemoryBytes }: LearnedContext,
  source: StackedMatrix,
  file: string | null,
): AsyncGenerator<JobEvent, Decomposition> {
  const id = `${source.weightType}/decompose`
  try {
    return yield* reporting<JobEvent, Decomposition>(signal, (report) => {
      const options = {
        energy: method.energy,
        keepsLayers: layersStay(source, deviceMemoryBytes),
        createStore: (shape: StoreShape) =>
          file === null ? CoordinateStore.inMemory(shape) : CoordinateStore.inFile(file, shape),
        onProgress: (done: number) => report({ type: 'step', id, done, total: 1 }),
      }
      return method.useSvd
        ? decompose(runtime, source, options)
        : withoutDecomposition(runtime, source, options)
    })
  } catch (error) {
    if (!signal.aborted) await source.refuseNonFinite()
    throw error
  }
}

async function* trainStage(
  context: LearnedContext,
  type: string,
  decomposition: Decomposition,
): AsyncGenerator<JobEvent, { predictor: TrainedPredictor; report: PredictorReport }> {
  const { runtime, method, seed, signal, deviceMemoryBytes } = context
  const { coordinates } = decomposition
  const { chains, ownChains, series } = sourceOf(context, type)
  const samples = new Samples(coordinates, targetsIn(coordinates, chains))
  const resident = residentBytes(samples.width, deviceMemoryBytes)
  const train: Train = (own, ownSettings) =>
    // The same start and the same draws for all: they differ in what they see.
    trainPredictor(
      runtime,
      own,
      ownSettings,
      { initial: new Random(seed, type, 'initial'), shuffle: new Random(seed, type, 'shuffle') },
      resident,
    )
  const { holdout = [], predictor: settings } = method
  const without = new HeldOutTrainings(
    coordinates,
    { chains, judged: ownChains },
    heldOutIn(series, holdout),
    settings,
  )
  const training = train(samples, settings)
  const id = `${type}/train`
  let next = await training.next()
  while (!next.done) {
    const { step, steps, loss, epoch } = next.value
    yield { type: 'metric', series: `loss/${type}`, x: [step], y: [loss] }
    if (epoch) {
      yield { type: 'metric', series: `epoch_loss/${type}`, x: [epoch.number], y: [epoch.loss] }
    }
    yield { type: 'step', id, done: step, total: steps + without.steps }
    signal.throwIfAborted()
    next = await training.next()
  }
  const predictor = next.value
  const kernel = await PredictorKernel.create(runtime, predictor.shape, predictor.weights)
  const { cosine: _, ...quality } = await measurePredictor(kernel, samples)
  await kernel.dispose()
  const trials = without.run(runtime, train)
  let trial = await trials.next()
  while (!trial.done) {
    const done = predictor.steps + trial.value
    yield { type: 'step', id, done, total: predictor.steps + without.steps }
    signal.throwIfAborted()
    trial = await trials.next()
  }
  const report: PredictorReport = {
    weightType: type,
    rank: decomposition.rank,
    samples: samples.count,
    steps: predictor.steps,
    lossPerEpoch: predictor.lossPerEpoch,
    ...quality,
    ...(trial.value ? { holdout: namedBy(series, trial.value) } : {}),
  }
  return { predictor, report }
}

/** The layers that were held out, by their numbers in the model. */
function namedBy({ layers }: Series, holdout: HeldOut): HeldOut {
  return {
    ...holdout,
    layers: holdout.layers.map((each) => ({ ...each, layer: layers[each.layer] ?? each.layer })),
  }
}

/** A type's matrices as its stages read them. */
function sourceOf(context: StageContext, type: string): StackedMatrix {
  const { checkpoint, plan } = context
  return new StackedMatrix(checkpoint, seriesNamed(checkpoint, plan, type), context)
}

async function* predictStage(
  context: LearnedContext,
  type: string,
  decomposition: Decomposition,
  predictor: TrainedPredictor,
  folder: string,
): AsyncGenerator<JobEvent, void> {
  const { runtime, plan, signal } = context
  const source = sourceOf(context, type)
  const { series } = source
  const kernel = await PredictorKernel.create(runtime, predictor.shape, predictor.weights)
  const reconstructor = await Reconstructor.create(runtime, decomposition)
  const layers = computedIn(series, plan)
  // A layer predicted between two others may itself be a neighbour of the next one; keep only those that are.
  const neighbours = new Set(layers.flatMap(({ left, right }) => [left, right]))
  const predicted = new Map<number, Float32Array>()
  const directions = new Map<number, Float32Array>()
  const { coordinates: store, rank } = decomposition
  const readerOf = (index: number, chain: number): RowReader => {
    const own = predicted.get(index)
    const place = series.layers.indexOf(plan.layers[index]?.source ?? 0)
    const layer = chain * series.layers.length + place
    return (first, into) => {
      const start = first * store.width
      if (own) into.set(own.subarray(start, start + into.length))
      else store.copyRows(layer, first, into.length / store.width, into, 0)
    }
  }
  const dtypes = predictedDtypes(context, type)
  const losses: RangeLoss[] = []
  const id = `${type}/predict`
  const sides = new Map(layers.map(({ index, left, right }) => [index, { left, right }]))
  const fill = context.finish(async (_, { layer, chain }) => {
    const { left = 0, right = 0 } = sides.get(layer) ?? {}
    const coordinates = await kernel.predict(rank, readerOf(left, chain), readerOf(right, chain))
    if (neighbours.has(layer)) predicted.set(layer, coordinates.slice())
    return reconstructor.weights(coordinates)
  })
  const total = layers.length * source.ownChains
  try {
    for (let chain = 0; chain < source.ownChains; chain += 1) {
      predicted.clear()
      for (const [done, { index, source: layer }] of layers.entries()) {
        signal.throwIfAborted()
        const weights = await fill(type, { layer: index, chain })
        const dtype = dtypes.get(index) ?? 'F32'
        const expert = series.experts === null ? null : expertOf(context, layer, chain)
        const which = expert === null ? '' : `, expert ${expert}`
        const count = new RangeCount(`${type} of new layer ${index}${which}`, dtype)
        count.add(weights)
        if (count.loss) losses.push(count.loss)
        if (!context.allowOverflow) refuseLosses(losses)
        // Of experts, those of the first chain stand for all.
        if (chain === 0) directions.set(index, topDirection(decomposition, weights))
        // The new layer stands where its left neighbour's residual stream, norms and biases are: in that one's order.
        const own = source.restored(weights, layer, chain)
        await writeFile(predictedFile(folder, index, expert), encodeFromFloat32(own, dtype))
        yield { type: 'step', id, done: chain * layers.length + done + 1, total }
      }
    }
    await saveDirections(folder, decomposition, { plan, series }, directions)
    if (losses.length > 0) {
      yield { type: 'log', level: 'warning', text: `Predicted: ${describeLosses(losses)}.` }
    }
  } finally {
    await kernel.dispose()
    await reconstructor.dispose()
  }
}

/** The number that a chain's expert has in a layer. */
function expertOf({ experts }: StageContext, layer: number, chain: number): number {
  return experts?.expertOf(layer, chain) ?? chain
}

/** Element types of a type's new matrices, by index in the grown model: what the layout announces for them. */
function predictedDtypes(
  { checkpoint, plan, dtype }: StageContext,
  type: string,
): ReadonlyMap<number, TensorDtype> {
  const series = seriesNamed(checkpoint, plan, type)
  const source = new StackedMatrix(checkpoint, series)
  const perChain = series.layers.length
  return new Map(
    computedIn(series, plan).map(({ index, sides }) => {
      // Of all experts: those that are matched need not have the same number.
      const places = sides.flatMap((side) =>
        Array.from(
          { length: source.chains },
          (_, chain) => chain * perChain + Math.max(0, series.layers.indexOf(side)),
        ),
      )
      const stored = newDtype(source.dtypes(places), dtype)
      if (isTensorDtype(stored)) return [index, stored]
      const name = source.nameOf(places[0] ?? 0)
      throw new AppError('unsupported_dtype', `The tensor "${name}" cannot be predicted.`, {
        context: { tensor: name, expected: TENSOR_DTYPES.join(', '), actual: stored },
      })
    }),
  )
}
