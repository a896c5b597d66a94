/** @file What the tasks that grow a model share: computing the new matrices, and writing the grown checkpoint. */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { DampingReport } from '@shared/damping'
import type { Device, DeviceDecision } from '@shared/devices'
import { AppError } from '@shared/errors'
import type { AssembleSpec, ExpandResult, ExpandSpec, JobEvent, StagesSpec } from '@shared/jobs'
import { fitsText, isLearned, methodNamed, transports } from '@shared/methods'
import type { ExpansionPlan } from '@shared/plan'
import { FEW_STEPS } from '@shared/predictorSettings'
import { describeExperts, type RoutingReport } from '@shared/experts'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Sidecars } from '../checkpoint/sidecars'
import type { PreparedOutput } from '../checkpoint/CheckpointWriter'
import { describeLosses, type RangeLoss } from '../checkpoint/range'
import type { Alignment } from '../alignment/Alignment'
import { chooseDamping, dampOf } from './damping'
import { layOut, type LayoutOptions } from './grownLayout'
import { planWarnings } from './layerTypes'
import { contentsOf, tiedHead, type Filler } from './grownTensors'
import { fillerOf, wrapped } from './fillers'
import type { TransportedFill } from './fillers/transported'
import { fittedMatrices } from './fillers/fitted'
import { grownConfig } from './grownConfig'
import { grownRecipes } from './grownRecipes'
import { readBaseFacts } from './baseFacts'
import { pipelineTagOf } from './frontMatter'
import { lesaJson } from './lesaJson'
import { modelCard } from './modelCard'
import {
  predictorFile,
  predictWeightType,
  type PredictedType,
  type StageContext,
} from '../lesa/learned'
import {
  fitStart,
  requireCalibration,
  type FitRequest,
  type FittedStart,
} from '../fitting/fittedStart'
import { StackedMatrix } from '../lesa/StackedMatrix'
import { requireLearnable, seriesNamed, seriesOf } from '../lesa/series'
import { stageBytes } from '../lesa/disk'
import { neighboursNeed, requireMemory } from '../lesa/memory'
import { requireArrays } from '../lib/arrays'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { StageStore } from '../stages/StageStore'
import { ENGINE_VERSION } from '../lib/version'
import { transportedBytes, transportLayers, transportNeed } from './transporting'
import { checkMatching, type MatchedExperts } from './matchingExperts'
import { scaleRouters } from './routing'
import { describeNonFinite, writing } from './writing'

/** The paper's stated limit: nothing is known of LESA beyond three times the depth (ACL 2025, Limitations). */
const MAX_KNOWN_GROWTH = 3

/** The part of a spec that decides the grown model's weights. */
export type GrowthSpec = Omit<StagesSpec, 'kind' | 'job' | 'only'>

/** How and where the checkpoint is written. */
type OutputSpec = Pick<AssembleSpec, 'out' | 'overwrite' | 'maxShardBytes' | 'recipes'>

export interface Growth {
  readonly spec: GrowthSpec
  readonly checkpoint: Checkpoint
  /** Further checkpoints that predictors learn from. */
  readonly also?: readonly Checkpoint[]
  readonly plan: ExpansionPlan
  /** Once its layers are matched, where that is asked for. */
  readonly alignment?: Alignment | null
  /** Once experts are matched, where new ones come from those of several layers. */
  readonly experts?: MatchedExperts | null
  readonly signal: AbortSignal
  /** What comes along from the base model's folder. */
  readonly sidecars: Sidecars
  /** `performance.now()` at the job's start. */
  readonly started: number
}

/** What was computed for a grown model; empty for methods that only copy or average. */
export interface Computed {
  readonly device: DeviceDecision | null
  readonly types: readonly PredictedType[]
  /** Of a method that is fitted to a text. */
  readonly fit?: FittedStart
  /** Of a method that transports layers. */
  readonly transport?: TransportedFill | null
  /** How new routers were scaled, where a text is given. */
  readonly routing?: RoutingReport | null
  /** How the damping was chosen, where it is not given. */
  readonly damping?: DampingReport | null
}

/** What new matrices are computed of, by name: with predictors each type of layer has its own. */
export function typesOf({
  spec,
  checkpoint,
  plan,
}: Pick<Growth, 'spec' | 'checkpoint' | 'plan'>): readonly string[] {
  if (!isLearned(spec.method)) return checkpoint.weightTypes
  return seriesOf(checkpoint, plan).map(({ id }) => id)
}

/** Those of {@link typesOf} that are left once experts are matched: what does not correspond is not predicted. */
export function predictedTypes(growth: Growth): readonly string[] {
  if (!copiesExperts(growth)) return typesOf(growth)
  const own = seriesOf(growth.checkpoint, growth.plan).filter(({ experts }) => experts === null)
  return own.map(({ id }) => id)
}

/** Whether new layers take the experts of one layer as they are, because those of two do not correspond. */
function copiesExperts({ spec, experts }: Pick<Growth, 'spec' | 'experts'>): boolean {
  return isLearned(spec.method) && experts?.report.isMeaningful === false
}

/** How new layers come to their experts, for {@link layOut}. */
export function expertSource(growth: Pick<Growth, 'spec' | 'experts'>): LayoutOptions['experts'] {
  if (!growth.experts) return 'as_they_are'
  return copiesExperts(growth) ? 'copied' : 'matched'
}

/** Refuses, before anything is computed, what cannot be learned or held, and a memory bound that the job cannot keep. */
export function checkMemory(growth: Growth, types: readonly string[]): void {
  const { spec, checkpoint, also, plan } = growth
  if (isLearned(spec.method)) requireLearnable(checkpoint, plan)
  const shapes = types.map((type) =>
    isLearned(spec.method)
      ? new StackedMatrix(checkpoint, seriesNamed(checkpoint, plan, type), { also })
      : new StackedMatrix(checkpoint, type, { also }),
  )
  checkMatching(growth)
  if (fitsText(spec.method.name)) requireCalibration(spec.calibration)
  if (isLearned(spec.method)) requireMemory(shapes, spec.memoryBytes)
  else if (transports(spec.method.name)) {
    requireArrays(transportNeed(checkpoint))
  } else if (methodNamed(spec.method.name).fill?.kind === 'matrices') {
    for (const shape of shapes) requireArrays(neighboursNeed(shape))
  }
}

/**
 * Bytes of disk that the stages of the given weight types take beside the output.
 *
 * @param kept The folder that keeps them, if one does: what is there already needs no more room.
 */
export async function roomOfStages(
  growth: Growth,
  types: readonly string[],
  kept: string | undefined,
): Promise<number> {
  const { spec, checkpoint, also, plan } = growth
  const kind = transports(spec.method.name)
  if (!isLearned(spec.method) && !kind) return 0
  const { matrices, decompositions } = kind
    ? { matrices: transportedBytes(growth), decompositions: 0 }
    : stageBytes(checkpoint, {
        types,
        plan,
        dtype: spec.dtype,
        keeps: kept !== undefined,
        bound: spec.memoryBytes,
        also,
      })
  const there = kept === undefined ? 0 : await keptStages(kept).storedBytes()
  return Math.max(0, matrices + decompositions - there)
}

/** Computes the new matrices of the given weight types into `stages`, or finds them there. */
export async function* computeTypes(
  growth: Growth,
  stages: StageStore,
  types: readonly string[],
): AsyncGenerator<JobEvent, Computed> {
  if (fitsText(growth.spec.method.name)) return yield* fitBlocks(growth, stages)
  const { method } = growth.spec
  if (transports(method.name)) {
    const { device, transported } = yield* transportLayers(growth, stages)
    const asPublished = 'asPublished' in method && method.asPublished
    return { device, types: [], transport: { transported, asPublished } }
  }
  if (!isLearned(method)) return { device: null, types: [] }
  const device = await chooseDevice(growth.spec.device)
  yield { type: 'device', decision: device }
  const context = await stageContext(growth, stages, device.device)
  const runtime = await Runtime.open(device.device)
  const done: PredictedType[] = []
  try {
    for (const type of types) done.push(yield* predictWeightType({ ...context, runtime }, type))
  } finally {
    await runtime.dispose()
  }
  return { device, types: done }
}

/** What a fit is asked for. @throws AppError `bad_request` without a calibration text. */
export function fitRequest({
  spec,
  checkpoint,
  plan,
}: Pick<Growth, 'spec' | 'checkpoint' | 'plan'>): FitRequest {
  const { method, calibration, seed, memoryBytes, deviceMemoryBytes } = spec
  return {
    checkpoint,
    layers: plan.newLayers.map((index) => plan.layers[index]?.source ?? 0),
    calibration: requireCalibration(calibration),
    rounds: 'rounds' in method ? method.rounds : 1,
    seed,
    memoryBytes,
    deviceMemoryBytes,
  }
}

async function* fitBlocks(growth: Growth, store: StageStore): AsyncGenerator<JobEvent, Computed> {
  const device = await chooseDevice(growth.spec.device)
  yield { type: 'device', decision: device }
  const runtime = await Runtime.open(device.device)
  try {
    const { signal } = growth
    const context = { runtime, store, scratch: store.root, signal }
    const fit = yield* fitStart(fitRequest(growth), context)
    return { device, types: [], fit }
  } finally {
    await runtime.dispose()
  }
}

/** What the results of the learned methods' stages depend on, and where they are. */
export async function stageContext(
  { spec, checkpoint, also = [], plan, alignment = null, experts = null, signal }: Growth,
  stages: StageStore,
  device: Device,
): Promise<StageContext> {
  const { method } = spec
  if (!isLearned(method)) throw new AppError('bug', `${method.name} computes nothing.`)
  const { fill } = methodNamed(method.name)
  return {
    device,
    checkpoint,
    fingerprint: await checkpoint.fingerprint(),
    also,
    alsoFingerprints: await Promise.all(also.map((each) => each.fingerprint())),
    plan,
    alignment,
    experts: experts?.chains ?? null,
    method,
    dtype: spec.dtype,
    allowOverflow: spec.allowOverflow ?? false,
    seed: spec.seed,
    signal,
    stages,
    finish: (predict) => (fill ? wrapped(fill, predict, spec.seed) : predict),
    memoryBytes: spec.memoryBytes,
    deviceMemoryBytes: spec.deviceMemoryBytes,
  }
}

/** How the grown model's matrices come about; none where all of it is copied. */
function fillerFor(growth: Growth, computed: Computed): Filler | undefined {
  const { spec, checkpoint, plan, alignment = null } = growth
  if (computed.fit) return fittedMatrices(computed.fit, plan)
  const { fill } = methodNamed(spec.method.name)
  return (
    fill &&
    fillerOf(fill, {
      checkpoint,
      predicted: computed.types,
      seed: spec.seed,
      alignment,
      experts: growth.experts?.chains ?? null,
      routing: computed.routing ?? null,
      transport: computed.transport ?? null,
    })
  )
}

/** How the routers of new layers are to be scaled; `null` where that is not asked for, or there are none. */
export async function* scaleNewRouters(
  growth: Growth,
  computed: Computed,
  store: StageStore,
): AsyncGenerator<JobEvent, RoutingReport | null> {
  const { spec, checkpoint, plan, alignment = null } = growth
  const experts = expertSource(growth)
  if (experts !== 'matched') return null
  const layout = layOut(checkpoint, {
    layers: plan.layers,
    rest: spec.rest,
    dtype: spec.dtype,
    damp: dampOf(spec),
    aligned: alignment !== null,
    experts,
  })
  const filler = fillerFor(growth, computed)
  const model = { checkpoint, layers: plan.layers, layout, filler }
  return yield* scaleRouters({ growth, store, model })
}

/** The factor that the spec leaves to the text; `null` where it does not. */
export async function* damp(
  growth: Growth,
  computed: Computed,
  store: StageStore,
): AsyncGenerator<JobEvent, DampingReport | null> {
  const { spec, checkpoint, plan, alignment = null, signal } = growth
  const { layers } = plan
  return yield* chooseDamping({
    spec,
    store,
    signal,
    model: { checkpoint, layers, filler: fillerFor(growth, computed) },
    layoutOf: (factor) =>
      layOut(checkpoint, {
        layers,
        rest: spec.rest,
        dtype: spec.dtype,
        damp: factor,
        aligned: alignment !== null,
        experts: expertSource(growth),
      }),
  })
}

/** Writes the grown checkpoint with its record; the output appears when it is complete. */
export async function* writeGrown(
  growth: Growth,
  computed: Computed,
  output: PreparedOutput,
  { out, overwrite, maxShardBytes, recipes }: OutputSpec,
): AsyncGenerator<JobEvent, ExpandResult> {
  const { spec, checkpoint, plan, alignment = null, signal, started } = growth
  const warnings = [...growthWarnings(growth), ...trainingWarnings(computed.types)]
  for (const text of warnings) yield { type: 'log', level: 'warning', text }
  await copyPredictors(computed.types, join(output.partial, 'lesa'))
  const head = await tiedHead(checkpoint)
  const layout = layOut(checkpoint, {
    layers: plan.layers,
    rest: spec.rest,
    dtype: spec.dtype,
    damp: computed.damping?.factor ?? dampOf(spec),
    aligned: alignment !== null,
    experts: expertSource(growth),
    dropsHead: head === 'repeats_embeddings',
  })
  const filler = fillerFor(growth, computed)
  const fit = computed.fit?.report
  const predictors = computed.types.map(({ report }) => report)
  const record = {
    spec: { ...spec, maxShardBytes },
    plan,
    architecture: checkpoint.config.architectureName,
    pipeline: pipelineTagOf(checkpoint.architecture),
    layersBefore: checkpoint.config.numHiddenLayers,
    parameters: layout.parameters,
    dtypes: layout.dtypes,
    engineVersion: ENGINE_VERSION,
    device: computed.device,
    predictors,
    ...(fit === undefined ? {} : { fit }),
    ...(computed.damping ? { damping: computed.damping } : {}),
    ...(growth.experts ? { experts: growth.experts.report } : {}),
    ...(computed.routing ? { routing: computed.routing } : {}),
    perplexities: [],
    base: await readBaseFacts(checkpoint.path, checkpoint.rawConfig),
  }
  const warningsOf = (losses: readonly RangeLoss[], nonFinite: readonly string[]): string[] => [
    ...warnings,
    ...(losses.length === 0 ? [] : [`Lost: ${describeLosses(losses)}.`]),
    ...[describeNonFinite(nonFinite)].filter((text) => text !== null),
  ]
  const config = grownConfig(checkpoint, plan, { dtype: spec.dtype, untie: head === 'differs' })
  const grown = { out: output.out, checkpoint, config, tensors: layout.tensors }
  const written = yield* writing(signal, {
    out,
    overwrite,
    prepared: output,
    tensors: contentsOf(checkpoint, layout, filler),
    config,
    sidecarsFrom: checkpoint,
    sidecars: growth.sidecars,
    files: (losses, nonFinite) => {
      const lesa = lesaJson({ ...record, warnings: warningsOf(losses, nonFinite) })
      return {
        'README.md': modelCard({ ...record, warnings: warningsOf(losses, nonFinite) }),
        'lesa.json': lesa,
        ...(recipes === false ? {} : grownRecipes({ ...grown, lesa })),
      }
    },
    maxShardBytes,
    allowOverflow: spec.allowOverflow ?? false,
  })
  return {
    kind: 'expand',
    out: written.out,
    method: spec.method.name,
    num_hidden_layers: plan.layers.length,
    new_layers: plan.newLayers,
    parameters: written.parameters,
    bytes: written.bytes,
    shards: written.shards,
    seed: spec.seed,
    seconds: (performance.now() - started) / 1000,
    device: computed.device,
    predictors,
    ...(fit === undefined ? {} : { fit }),
    ...(computed.damping ? { damping: computed.damping } : {}),
    ...(growth.experts ? { experts: growth.experts.report } : {}),
    ...(computed.routing ? { routing: computed.routing } : {}),
    warnings: warningsOf(written.losses, written.nonFinite),
    left_out: written.leftOut,
  }
}

/** The trained predictors go with the model they made. */
async function copyPredictors(types: readonly PredictedType[], folder: string): Promise<void> {
  if (types.length > 0) await mkdir(folder, { recursive: true })
  for (const { type, folder: from } of types) {
    await copyFile(predictorFile(from), join(folder, `predictor-${type}.safetensors`))
  }
}

function growthWarnings({ plan, checkpoint, spec, experts }: Growth): string[] {
  const factor = plan.layers.length / checkpoint.config.numHiddenLayers
  return [
    ...(factor > MAX_KNOWN_GROWTH
      ? [
          `The model grows ${factor.toFixed(1)}×; the method has not been tried beyond ${MAX_KNOWN_GROWTH}×.`,
        ]
      : []),
    ...(experts && !experts.report.isMeaningful
      ? [describeExperts(experts.report, isLearned(spec.method))]
      : []),
    ...planWarnings(plan, checkpoint),
  ]
}

function trainingWarnings(types: readonly PredictedType[]): string[] {
  const few = types.filter(({ report }) => report.steps < FEW_STEPS)
  if (few.length === 0) return []
  const least = few.reduce((most, { report }) => Math.min(most, report.steps), Infinity)
  return [
    `${few.length} of ${types.length} predictors trained for fewer than ${FEW_STEPS} mini-batches ` +
      `(${least} at the least; the paper's own runs had about 10,000). Whether that is enough, and whether more would help, ` +
      'the error on a held-out layer tells: it can grow while the training error falls.',
  ]
}

/** The stages of a job live in its folder when it has one, and in the output's scratch folder otherwise. */
export function stagesOf(
  spec: Pick<ExpandSpec, 'job'>,
  workDir: string | undefined,
  output: PreparedOutput,
): StageStore {
  const kept = spec.job ?? workDir
  return kept === undefined ? new StageStore(output.scratch, false) : keptStages(kept)
}

/** The stages in a folder that outlives the job. */
export function keptStages(folder: string): StageStore {
  return new StageStore(join(folder, 'stages'), true)
}
