/** @file What a job will cost, from the shapes of its model and the calibrated speed of this machine. */
import { stat } from 'node:fs/promises'
import { freemem } from 'node:os'
import type { EstimateRequest } from '@shared/engineProtocol'
import type { Estimate, EstimateItem, Verdict } from '@shared/estimate'
import type { EvaluateSpec, ExpandSpec } from '@shared/jobs'
import { isLearned, methodNamed } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import { trainingSteps } from '@shared/predictorSettings'
import { formatBytes } from '@shared/units'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { bytesPerElement, isTensorDtype, outputDtype } from '../checkpoint/dtypes'
import { DISK_MARGIN_BYTES } from '../checkpoint/preparedOutput'
import { QUERY_CHUNK } from '../decoder/decoderLayer'
import { defaultLimits } from '../decoder/ForwardPass'
import { isCopy, layOut, type LaidOutTensor } from '../growth/grownLayout'
import type { Placement } from '../onnx/placement'
import { BASELINE_BYTES, deviceBytes, memoryParts, planMemory, storeBytes } from '../lesa/memory'
import { StackedMatrix } from '../lesa/StackedMatrix'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { freeSpaceAt } from '@system/space'
import { Calibration } from './calibration'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Most runs end between these shares of the estimate: other programs, the disk's cache, a clock that slows down. */
const RANGE = { low: 0.8, high: 1.3 } as const

/** A job that copies only: Node, the buffers of the writer. */
const COPY_BYTES = 92e6

/** Above this share of what is free it is tight. */
const TIGHT_SHARE = 0.8

/** Until the engine runs and has opened the model. */
const START_SECONDS = 0.5

/** Bytes of English text in a token, for common tokenizers; the demo's small one makes shorter tokens. */
const BYTES_PER_TOKEN = 3.5

interface Cost {
  readonly seconds: readonly EstimateItem[]
  readonly hostBytes: readonly EstimateItem[]
  readonly deviceBytes: number | null
  readonly diskBytes: readonly EstimateItem[]
  readonly device: string
  /** Where the disk is needed; `null` when nothing is written. */
  readonly out: string | null
}

/**
 * Estimates a job. Nothing is computed on the weights; on the first call the machine is timed, for a few seconds.
 *
 * @throws AppError what opening the checkpoint or choosing the device throws, `bad_request` for a plan that does not fit.
 */
export async function estimate(request: EstimateRequest): Promise<Estimate> {
  const { spec } = request
  const calibration = await Calibration.open(request.calibrationFile)
  const freeMemory = availableMemory(request.memoryLimitBytes)
  const cost = await (spec.kind === 'expand'
    ? expandCost(spec, request, calibration, freeMemory)
    : evaluateCost(spec, calibration))
  await calibration.save()
  return judge(cost, freeMemory, cost.out === null ? null : await freeSpaceAt(cost.out))
}

function availableMemory(limit: number | undefined): number {
  // Knows of the limits of a container, where Node does.
  const { availableMemory: ask } = process as { availableMemory?: () => number }
  const free = ask ? ask.call(process) : freemem()
  return Math.min(free, limit ?? Infinity)
}

/** Puts figures together and says in words whether they fit. */
export function judge(cost: Cost, freeMemory: number, freeDisk: number | null): Estimate {
  const seconds = START_SECONDS + totalOf(cost.seconds)
  const hostBytesPeak = totalOf(cost.hostBytes)
  const diskBytes = totalOf(cost.diskBytes)
  const memory = compare('memory', hostBytesPeak, freeMemory)
  const disk =
    freeDisk === null || diskBytes === 0
      ? { verdict: 'fits' as const, reason: null }
      : compare('disk', diskBytes, freeDisk, DISK_MARGIN_BYTES)
  const order: readonly Verdict[] = ['fits', 'tight', 'does_not_fit']
  const verdict =
    order[Math.max(order.indexOf(memory.verdict), order.indexOf(disk.verdict))] ?? 'fits'
  const reasons = [memory, disk]
    .filter((part) => verdict === 'fits' || part.verdict !== 'fits')
    .flatMap(({ reason }) => (reason === null ? [] : [reason]))
  return {
    seconds: { low: seconds * RANGE.low, high: seconds * RANGE.high },
    hostBytesPeak,
    deviceBytes: cost.deviceBytes,
    diskBytes,
    freeMemory,
    freeDisk,
    device: cost.device,
    verdict,
    reasons,
    breakdown: { seconds: cost.seconds, hostBytes: cost.hostBytes, diskBytes: cost.diskBytes },
  }
}

function compare(
  what: 'memory' | 'disk',
  needed: number,
  free: number,
  /** To be left over beside what is needed. */
  margin = 0,
): { verdict: Verdict; reason: string } {
  const numbers = `about ${formatBytes(needed)} of ${what}, and ${formatBytes(free)} can be used`
  if (needed + margin > free) return { verdict: 'does_not_fit', reason: `It needs ${numbers}.` }
  if (needed + margin > TIGHT_SHARE * free) {
    return { verdict: 'tight', reason: `It needs ${numbers}: close other programs first.` }
  }
  return { verdict: 'fits', reason: `It needs ${numbers}.` }
}

async function expandCost(
  spec: ExpandSpec,
  request: EstimateRequest,
  calibration: Calibration,
  freeMemory: number,
): Promise<Cost> {
  const checkpoint = await Checkpoint.open(spec.model)
  try {
    const plan = planExpansion(spec.method, checkpoint.config.numHiddenLayers)
    const { rest, dtype } = spec
    const { tensors, bytes: outputBytes } = layOut(checkpoint, { layers: plan.layers, rest, dtype })
    const readRate = await calibration.readRate(
      checkpoint,
      request.isQuick === true && !isLearned(spec.method),
    )
    const copyRate = await calibration.copyRate(checkpoint, spec.out, request.isQuick)
    // Read and made, where the others are only copied.
    const made = tensors.filter((tensor) => !isCopy(tensor) && tensor.source.kind !== 'zeros')
    const madeBytes = made.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const writeSeconds = outputBytes / copyRate + madeBytes / readRate
    const layerBytes = outputBytes * (request.isRecorded === true ? 1 : 0)
    const last = [
      { label: 'write checkpoint', value: writeSeconds },
      ...(layerBytes > 0 ? [{ label: 'analyse layers', value: layerBytes / readRate }] : []),
    ]
    const disk = [{ label: 'grown checkpoint', value: outputBytes }]
    if (!isLearned(spec.method)) {
      return {
        seconds: last,
        hostBytes: [
          { label: 'program and buffers', value: COPY_BYTES },
          ...wholeMatrices(spec, tensors),
        ],
        deviceBytes: null,
        diskBytes: disk,
        device: 'none needed',
        out: spec.out,
      }
    }
    const { device } = await chooseDevice(spec.device)
    const runtime = await Runtime.open(device)
    try {
      const learned = await learnedCost({ spec, checkpoint, calibration, runtime, readRate })
      const bound = spec.memoryBytes ?? freeMemory * TIGHT_SHARE
      const keeps = request.keepsStages === true || spec.job !== undefined
      return {
        seconds: [...learned, ...last],
        hostBytes: hostPeak(checkpoint, bound),
        deviceBytes: devicePeak(runtime.placement, checkpoint, spec.deviceMemoryBytes),
        diskBytes: [
          ...disk,
          ...stagesOnDisk(spec, checkpoint, plan.newLayers.length, { keeps, bound }),
        ],
        device,
        out: spec.out,
      }
    } finally {
      await runtime.dispose()
    }
  } finally {
    await checkpoint.close()
  }
}

/** Both neighbours' matrices and the new one, for methods that compute with whole ones; `[]` for the others. */
function wholeMatrices({ method }: ExpandSpec, tensors: readonly LaidOutTensor[]): EstimateItem[] {
  const { fill } = methodNamed(method.name)
  if (!fill || fill.kind === 'elements') return []
  const sizes = tensors
    .filter(({ source }) => source.kind === 'filled')
    .map(({ shape }) => shape.reduce((product, dim) => product * dim, FLOAT))
  return [{ label: "neighbours' matrices", value: 3 * Math.max(0, ...sizes) }]
}

interface LearnedCost {
  readonly spec: ExpandSpec
  readonly checkpoint: Checkpoint
  readonly calibration: Calibration
  readonly runtime: Runtime
  readonly readRate: number
}

/** Seconds of the three stages, all weight types together. */
async function learnedCost(context: LearnedCost): Promise<EstimateItem[]> {
  const { spec, checkpoint, calibration, runtime, readRate } = context
  const { method } = spec
  if (!isLearned(method)) return []
  const rate = await calibration.productRate(runtime)
  const plan = planExpansion(method, checkpoint.config.numHiddenLayers)
  const totals = { decompose: 0, train: 0, predict: 0 }
  for (const type of checkpoint.weightTypes) {
    const source = new StackedMatrix(checkpoint, type)
    const { rows, width, layerCount } = source
    const element = isTensorDtype(source.dtype) ? bytesPerElement(source.dtype) : FLOAT
    const reading = (layerCount * rows * width * element) / readRate
    // The lower triangle's blocks, then every layer's coordinates.
    const products = (1.2 + 2) * rows ** 2 * width * layerCount
    totals.decompose += method.useSvd
      ? 2 * reading + products / rate + (await calibration.eigenSeconds(runtime, rows))
      : reading
    totals.train +=
      trainingSteps(method, source) *
      (await calibration.stepSeconds(runtime, width, method.predictor))
    const parameters = method.predictor.hiddenSize * (3 * width + method.predictor.hiddenSize)
    totals.predict +=
      (plan.newLayers.length *
        ((method.useSvd ? 2 * rows ** 2 * width : 0) + 2 * rows * parameters)) /
        rate +
      // Coordinates in, weights out and into their file.
      (plan.newLayers.length * rows * width * FLOAT) / readRate
  }
  return [
    { label: 'decompose', value: totals.decompose },
    { label: 'train predictors', value: totals.train },
    { label: 'predict layers', value: totals.predict },
  ]
}

/** What is held together at the highest point: that of the weight type that needs most. */
function hostPeak(checkpoint: Checkpoint, bound: number): EstimateItem[] {
  const shapes = checkpoint.weightTypes.map((type) => new StackedMatrix(checkpoint, type))
  const highest = shapes.reduce((most, shape) =>
    planMemory(shape, bound).peakBytes > planMemory(most, bound).peakBytes ? shape : most,
  )
  return memoryParts(highest, planMemory(highest, bound).coordinates)
}

/** Device memory at the highest point: that of the weight type that needs most; `null` where it is the host's own. */
function devicePeak(
  placement: Placement,
  checkpoint: Checkpoint,
  bound: number | undefined,
): number | null {
  if (placement.isHost) return null
  return Math.max(
    ...checkpoint.weightTypes.map((type) =>
      deviceBytes(placement, new StackedMatrix(checkpoint, type), bound),
    ),
  )
}

/** The stages' files: the new matrices always, coordinates and bases when they are kept or do not fit in memory. */
function stagesOnDisk(
  spec: ExpandSpec,
  checkpoint: Checkpoint,
  newLayers: number,
  { keeps, bound }: { readonly keeps: boolean; readonly bound: number },
): EstimateItem[] {
  let [matrices, coordinates] = [0, 0]
  for (const type of checkpoint.weightTypes) {
    const source = new StackedMatrix(checkpoint, type)
    const { rows, width } = source
    const dtype = outputDtype(source.dtype, spec.dtype)
    matrices += newLayers * rows * width * (isTensorDtype(dtype) ? bytesPerElement(dtype) : FLOAT)
    const own = storeBytes(source) + rows * rows * FLOAT
    if (keeps) coordinates += own
    else if (planMemory(source, bound).coordinates === 'file')
      coordinates = Math.max(coordinates, own)
  }
  return [
    { label: 'new matrices until they are written', value: matrices },
    { label: keeps ? 'decompositions for later runs' : 'coordinates', value: coordinates },
  ]
}

const ON_DEVICE = { layers: 'two layers', results: "a layer's results", logits: 'logits' } as const

const isOnDevice = ({ label }: EstimateItem): boolean =>
  (Object.values(ON_DEVICE) as string[]).includes(label)

const totalOf = (items: readonly EstimateItem[]): number =>
  items.reduce((total, { value }) => total + value, 0)

async function evaluateCost(spec: EvaluateSpec, calibration: Calibration): Promise<Cost> {
  const { device } = await chooseDevice(spec.device)
  const runtime = await Runtime.open(device)
  try {
    const tokens = ((await stat(spec.text).catch(() => null))?.size ?? 0) / BYTES_PER_TOKEN
    const rate = await calibration.productRate(runtime)
    const seconds: EstimateItem[] = []
    let highest: EstimateItem[] = []
    for (const model of spec.models) {
      const checkpoint = await Checkpoint.open(model)
      try {
        const { config } = checkpoint
        const { bytes, parameters_per_layer: perLayer, path } = checkpoint.summarize()
        const limits = defaultLimits(config)
        const hidden = tokens * config.hiddenSize * FLOAT
        const passes = Math.max(1, Math.ceil(hidden / limits.hiddenBytes))
        const multiplied = perLayer * config.numHiddenLayers + config.hiddenSize * config.vocabSize
        seconds.push({
          label: path,
          // Attention and the parts between the products cost about half as much again.
          value:
            (3 * multiplied * tokens) / rate +
            (passes * bytes) / (await calibration.readRate(checkpoint)),
        })
        const items = [
          { label: 'program and runtime', value: BASELINE_BYTES },
          { label: 'hidden states', value: Math.min(hidden, limits.hiddenBytes) },
          { label: ON_DEVICE.layers, value: 2 * perLayer * FLOAT },
          {
            // The gate, the product with it and a copy; a chunk of queries' scores before and after the softmax.
            label: ON_DEVICE.results,
            value:
              Math.min(tokens, limits.batchPositions) *
              (3 * config.intermediateSize + 2 * config.numAttentionHeads * QUERY_CHUNK) *
              FLOAT,
          },
          {
            label: 'part of the embeddings',
            value: FLOAT * Math.min(limits.matrixElements, config.hiddenSize * config.vocabSize),
          },
          { label: ON_DEVICE.logits, value: 3 * limits.logits * FLOAT },
        ]
        if (totalOf(items) > totalOf(highest)) highest = items
      } finally {
        await checkpoint.close()
      }
    }
    return {
      seconds,
      hostBytes: highest,
      deviceBytes: runtime.placement.isHost ? null : totalOf(highest.filter(isOnDevice)),
      diskBytes: [],
      device,
      out: null,
    }
  } finally {
    await runtime.dispose()
  }
}
