/** @file What a job will cost, from the shapes of its model and the calibrated speed of this machine. */
import { stat } from 'node:fs/promises'
import { freemem } from 'node:os'
import type { EstimateRequest } from '@shared/engineProtocol'
import type { Estimate, EstimateItem, EstimateRefusal, Verdict } from '@shared/estimate'
import type { EvaluateSpec, ExpandSpec } from '@shared/jobs'
import {
  fitsText,
  isLearned,
  methodNamed,
  transports,
  type LearnedMethodSpec,
} from '@shared/methods'
import { formatBytes, formatRough } from '@shared/units'
import { analysisWork } from '../analysis/analyse'
import { planGrowth } from '../growth/planGrowth'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { checkForwardPass } from '../decoder/ForwardPass'
import { roleOf, scoringArrays, scoringMemory, scoringWork, tokensOf } from '../evaluation/work'
import { checkMatching, matchingSteps, matchingWork } from '../growth/matchingExperts'
import { transportedBytes, transportNeed, transportWork } from '../growth/transporting'
import { closeAll, openAlso } from '../growth/also'
import { aligningNeed, aligningWork, checkAligning } from '../growth/aligning'
import { dampingWork, dampOf } from '../growth/damping'
import { fitRequest } from '../growth/grow'
import { layOut, writeWork, type LaidOutTensor } from '../growth/grownLayout'
import { routingWork } from '../growth/routing'
import type { Placement } from '../onnx/placement'
import { stageBytes } from '../lesa/disk'
import {
  arrayNeed,
  BASELINE_BYTES,
  deviceBytes,
  leastBytes,
  memoryParts,
  neighboursNeed,
  planMemory,
} from '../lesa/memory'
import { seriesOf } from '../lesa/series'
import { StackedMatrix } from '../lesa/StackedMatrix'
import { LEARNED_STAGES, learnedWork, type LearnedStage } from '../lesa/work'
import type { Work } from '../lib/work'
import { arrayLimits, beyondLimits, mostOf, type ArrayLimits, type ArrayNeed } from '../lib/arrays'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { DISK_MARGIN_BYTES, freeSpaceAt } from '@system/space'
import { Calibration } from './calibration'
import { secondsOf, totalOf, type Cost, type Rates } from './cost'
import { fitCost } from './fit'
import { placeCost } from './place'
import { pretrainCost } from './pretrain'

/** Most runs end between these shares of the estimate: other programs, the disk's cache, a clock that slows down. */
const RANGE = { low: 0.8, high: 1.3 } as const

/** A job that copies only: Node, the buffers of the writer. */
const COPY_BYTES = 92e6

/** Above this share of what is free it is tight. */
const TIGHT_SHARE = 0.8

/** Longer than anybody waits for a training. */
const HOPELESS_SECONDS = 3 * 24 * 3600

/** Until the engine runs and has opened the model. */
const START_SECONDS = 0.5

/**
 * Estimates a job. Nothing is computed on the weights; on the first call the machine is timed, for a few seconds.
 *
 * @throws AppError what opening the checkpoint or choosing the device throws, `bad_request` for a plan that does not fit.
 */
export async function estimate(request: EstimateRequest): Promise<Estimate> {
  const calibration = await Calibration.open(request.calibrationFile)
  const limit = request.memoryLimitBytes ?? Infinity
  const freeMemory = Math.min(availableMemory(), limit)
  const cost = await costOf(request, calibration, freeMemory)
  await calibration.save()
  const freeDisk = cost.out === null ? null : await freeSpaceAt(cost.out)
  return judge(cost, freeMemory, freeDisk, limit)
}

function costOf(
  request: EstimateRequest,
  calibration: Calibration,
  freeMemory: number,
): Promise<Cost> {
  const { spec } = request
  switch (spec.kind) {
    case 'expand':
      return expandCost(spec, request, calibration, freeMemory)
    case 'evaluate':
      return evaluateCost(spec, calibration)
    case 'pretrain':
      return pretrainCost(spec, request, calibration)
    case 'place':
      return placeCost(spec, request, calibration)
  }
}

function availableMemory(): number {
  // Knows of the limits of a container, where Node does.
  const { availableMemory: ask } = process as { availableMemory?: () => number }
  return ask ? ask.call(process) : freemem()
}

/** Puts figures together and says in words whether they fit. */
export function judge(
  cost: Cost,
  freeMemory: number,
  freeDisk: number | null,
  /** The person's bound of memory. */
  limit = Infinity,
  /** What the process can hold. */
  arrays: ArrayLimits = arrayLimits(),
): Estimate {
  const seconds = START_SECONDS + totalOf(cost.seconds)
  const hostBytesPeak = totalOf(cost.hostBytes)
  const diskBytes = totalOf(cost.diskBytes)
  const isLimited = limit <= freeMemory
  const memory = compare('memory', hostBytesPeak, freeMemory, { isLimited })
  const disk =
    freeDisk === null || diskBytes === 0
      ? { verdict: 'fits' as const, reason: null }
      : compare('disk', diskBytes, freeDisk, { margin: DISK_MARGIN_BYTES })
  const time = judgeTime(cost, seconds)
  const order: readonly Verdict[] = ['fits', 'tight', 'does_not_fit']
  const parts = [time, memory, disk]
  const verdict = order[Math.max(...parts.map((part) => order.indexOf(part.verdict)))] ?? 'fits'
  const reasons = parts
    .filter((part) => verdict === 'fits' || part.verdict !== 'fits')
    .flatMap(({ reason }) => (reason === null ? [] : [reason]))
  const { training } = cost
  return {
    seconds: rangeOf(seconds),
    hostBytesPeak,
    deviceBytes: cost.deviceBytes,
    diskBytes,
    freeMemory,
    isLimited,
    freeDisk,
    device: cost.device,
    refusal: refusalOf(cost, freeDisk, limit, arrays),
    ...(training
      ? { training: { ...training, secondsPerStep: rangeOf(training.secondsPerStep) } }
      : {}),
    verdict,
    reasons,
    breakdown: { seconds: cost.seconds, hostBytes: cost.hostBytes, diskBytes: cost.diskBytes },
  }
}

function rangeOf(seconds: number): { low: number; high: number } {
  return { low: seconds * RANGE.low, high: seconds * RANGE.high }
}

/** A training that nobody would wait for can be started all the same. */
function judgeTime(
  { training, device }: Cost,
  seconds: number,
): { verdict: Verdict; reason: string | null } {
  if (!training || seconds <= HOPELESS_SECONDS) return { verdict: 'fits', reason: null }
  const step = formatRough(training.secondsPerStep * 1000)
  const hint =
    device === 'cpu'
      ? 'Fewer or smaller steps, a smaller model, or a GPU would bring it within reach.'
      : 'Fewer or smaller steps or a smaller model would bring it within reach.'
  return {
    verdict: 'tight',
    reason: `A step takes about ${step} on this machine, all of it about ${formatRough(seconds * 1000)}. ${hint}`,
  }
}

/** As the engine itself would say when the job is tried. */
function refusalOf(
  { leastMemory, arrays, diskBytes }: Cost,
  freeDisk: number | null,
  limit: number,
  limits: ArrayLimits,
): EstimateRefusal | null {
  const beyond = beyondLimits(arrays, limits)
  if (beyond !== null) return { needs: 'other_process', bytes: beyond }
  if (leastMemory > limit) return { needs: 'memory_limit', bytes: leastMemory }
  // The checkpoint is the first of what is on the disk; the rest may be there already, from an earlier run.
  const needed = (diskBytes[0]?.value ?? 0) + DISK_MARGIN_BYTES
  return freeDisk !== null && diskBytes.length > 0 && needed > freeDisk
    ? { needs: 'disk', bytes: needed }
    : null
}

function compare(
  what: 'memory' | 'disk',
  needed: number,
  free: number,
  /** `margin`: to be left over beside what is needed. */
  { margin = 0, isLimited = false }: { readonly margin?: number; readonly isLimited?: boolean },
): { verdict: Verdict; reason: string } {
  const room = isLimited
    ? `the memory limit is ${formatBytes(free)}`
    : `${formatBytes(free)} can be used`
  const numbers = `about ${formatBytes(needed)} of ${what}, and ${room}`
  if (needed + margin > free) return { verdict: 'does_not_fit', reason: `It needs ${numbers}.` }
  if (needed + margin > TIGHT_SHARE * free) {
    return {
      verdict: 'tight',
      reason: isLimited
        ? `It needs ${numbers}.`
        : `It needs ${numbers}: close other programs first.`,
    }
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
  let also: readonly Checkpoint[] = []
  try {
    also = await openAlso(spec, checkpoint)
    const plan = planGrowth(spec.method, checkpoint)
    const growth = { spec, checkpoint, plan }
    if (spec.align === true) checkAligning(growth)
    if (spec.damp === 'auto') checkForwardPass(checkpoint)
    checkMatching(growth)
    const { rest, dtype } = spec
    const layout = layOut(checkpoint, { layers: plan.layers, rest, dtype, damp: dampOf(spec) })
    const { tensors, bytes } = layout
    const rates: Rates = {
      calibration,
      runtime: null,
      read: await calibration.readRate(
        checkpoint,
        request.isQuick === true && !isLearned(spec.method) && !fitsText(spec.method.name),
      ),
      copy: await calibration.copyRate(checkpoint, spec.out, request.isQuick),
    }
    const routers = routingWork(growth)
    const last = [
      ...(spec.align === true
        ? [
            {
              label: 'align layers',
              value: await computedSeconds(aligningWork(growth), spec, rates),
            },
          ]
        : []),
      ...(matchingSteps(growth).length > 0
        ? [
            {
              label: 'match experts',
              value: await computedSeconds(matchingWork(growth), spec, rates),
            },
          ]
        : []),
      ...(transports(spec.method.name)
        ? [
            {
              label: 'transport layers',
              value: await computedSeconds(transportWork(growth), spec, rates),
            },
          ]
        : []),
      ...(spec.damp === 'auto' && spec.calibration !== undefined
        ? [
            {
              label: 'choose the damping',
              value: await computedSeconds(
                dampingWork(spec.calibration, checkpoint, plan.layers.length),
                spec,
                rates,
              ),
            },
          ]
        : []),
      ...(routers
        ? [{ label: 'scale the routers', value: await computedSeconds(routers, spec, rates) }]
        : []),
      { label: 'write checkpoint', value: await secondsOf(writeWork(layout), rates) },
      ...(request.isRecorded === true
        ? [{ label: 'analyse layers', value: await secondsOf(analysisWork(bytes), rates) }]
        : []),
    ]
    const disk = [{ label: 'grown checkpoint', value: bytes }]
    if (fitsText(spec.method.name)) {
      const bound = spec.memoryBytes ?? request.memoryLimitBytes
      const asked = { ...spec, ...(bound === undefined ? {} : { memoryBytes: bound }) }
      const fit = await fitCost(spec, fitRequest({ spec: asked, checkpoint, plan }), rates)
      return {
        ...fit,
        seconds: [...fit.seconds, ...last],
        diskBytes: [...disk, ...fit.diskBytes],
        out: spec.out,
      }
    }
    if (!isLearned(spec.method)) {
      const isTransport = transports(spec.method.name)
      const arrays = isTransport ? transportNeed(checkpoint) : wholeMatricesNeed(spec, tensors)
      return {
        seconds: last,
        hostBytes: [
          { label: 'program and buffers', value: COPY_BYTES },
          ...(arrays.together > 0
            ? [
                {
                  label: isTransport ? 'transport plan and matrices' : "neighbours' matrices",
                  value: arrays.together,
                },
              ]
            : []),
        ],
        deviceBytes: null,
        diskBytes: isTransport
          ? [
              ...disk,
              {
                label: 'transported layers until they are written',
                value: transportedBytes(growth),
              },
            ]
          : disk,
        device: null,
        leastMemory: 0,
        arrays: spec.align === true ? mostOf([arrays, aligningNeed(checkpoint)]) : arrays,
        out: spec.out,
      }
    }
    const { device } = await chooseDevice(spec.device)
    const runtime = await Runtime.open(device)
    try {
      const series = seriesOf(checkpoint, plan)
      const shapes = series.map((each) => new StackedMatrix(checkpoint, each, { also }))
      const learned = await learnedSeconds(shapes, spec.method, plan.newLayers.length, {
        ...rates,
        runtime,
      })
      const bound = spec.memoryBytes ?? freeMemory * TIGHT_SHARE
      const keeps = request.keepsStages === true || spec.job !== undefined
      const stages = stageBytes(checkpoint, {
        types: series.map(({ id }) => id),
        plan,
        dtype,
        keeps,
        bound,
        also,
      })
      return {
        seconds: [...learned, ...last],
        hostBytes: hostPeak(shapes, bound),
        deviceBytes: devicePeak(runtime.placement, shapes, spec.deviceMemoryBytes),
        diskBytes: [
          ...disk,
          { label: 'new matrices until they are written', value: stages.matrices },
          {
            label: keeps ? 'decompositions for later runs' : 'coordinates',
            value: stages.decompositions,
          },
        ],
        device,
        leastMemory: Math.max(...shapes.map(leastBytes)),
        arrays: mostOf([
          ...shapes.map(arrayNeed),
          ...(spec.align === true ? [aligningNeed(checkpoint)] : []),
        ]),
        out: spec.out,
      }
    } finally {
      await runtime.dispose()
    }
  } finally {
    await closeAll([checkpoint, ...also])
  }
}

/** The seconds of what computes on the job's device, whatever the method does. */
async function computedSeconds(work: Work, { device }: ExpandSpec, rates: Rates): Promise<number> {
  const runtime = await Runtime.open((await chooseDevice(device)).device)
  try {
    return await secondsOf(work, { ...rates, runtime })
  } finally {
    await runtime.dispose()
  }
}

/** The matrices that a method computes with whole ones takes; nothing for the others. */
function wholeMatricesNeed({ method }: ExpandSpec, tensors: readonly LaidOutTensor[]): ArrayNeed {
  const { fill } = methodNamed(method.name)
  if (!fill || fill.kind === 'elements') return mostOf([])
  return mostOf(
    tensors
      .filter(({ source }) => source.kind === 'filled')
      .map(({ shape: [rows = 1, width = 1] }) => neighboursNeed({ rows, width })),
  )
}

const LEARNED_LABELS = {
  decompose: 'decompose',
  train: 'train predictors',
  predict: 'predict layers',
} as const satisfies Record<LearnedStage, string>

/** Seconds of the three stages, all weight types together. */
async function learnedSeconds(
  sources: readonly StackedMatrix[],
  method: LearnedMethodSpec,
  newLayers: number,
  rates: Rates,
): Promise<EstimateItem[]> {
  const items: EstimateItem[] = []
  for (const stage of LEARNED_STAGES) {
    let value = 0
    for (const source of sources) {
      const work = learnedWork(source, method, newLayers)
      value += await secondsOf(work[stage], rates)
    }
    items.push({ label: LEARNED_LABELS[stage], value })
  }
  return items
}

/** What is held together at the highest point: that of the weight type that needs most. */
function hostPeak(shapes: readonly StackedMatrix[], bound: number): EstimateItem[] {
  const highest = shapes.reduce((most, shape) =>
    planMemory(shape, bound).peakBytes > planMemory(most, bound).peakBytes ? shape : most,
  )
  return memoryParts(highest, planMemory(highest, bound).coordinates)
}

/** Device memory at the highest point: that of the weight type that needs most; `null` where it is the host's own. */
function devicePeak(
  placement: Placement,
  shapes: readonly StackedMatrix[],
  bound: number | undefined,
): number | null {
  if (placement.isHost) return null
  return Math.max(...shapes.map((shape) => deviceBytes(placement, shape, bound)))
}

async function evaluateCost(spec: EvaluateSpec, calibration: Calibration): Promise<Cost> {
  const { device } = await chooseDevice(spec.device)
  const runtime = await Runtime.open(device)
  try {
    const tokens = tokensOf((await stat(spec.text).catch(() => null))?.size ?? 0)
    const seconds: EstimateItem[] = []
    let highest: ReturnType<typeof scoringMemory> = []
    const needs: ArrayNeed[] = []
    const { base } = spec
    const isExtra = base !== undefined && !spec.models.includes(base)
    for (const model of isExtra ? [base, ...spec.models] : spec.models) {
      const role = roleOf(model, base)
      const checkpoint = await Checkpoint.open(model)
      try {
        checkForwardPass(checkpoint)
        const { config } = checkpoint
        const summary = checkpoint.summarize()
        const read = await calibration.readRate(checkpoint)
        const { layers, head } = scoringWork(config, summary, tokens, role)
        const rates: Rates = { calibration, runtime, read, copy: Infinity }
        seconds.push({
          label: summary.path,
          value: (await secondsOf(layers, rates)) + (await secondsOf(head, rates)),
        })
        const items = scoringMemory(config, summary, tokens, role)
        if (totalOf(items) > totalOf(highest)) highest = items
        needs.push(scoringArrays(config, summary, tokens, role))
      } finally {
        await checkpoint.close()
      }
    }
    return {
      seconds,
      hostBytes: [
        { label: 'program and runtime', value: BASELINE_BYTES },
        ...highest.map(({ label, value }) => ({ label, value })),
      ],
      deviceBytes: runtime.placement.isHost
        ? null
        : totalOf(highest.filter(({ onDevice }) => onDevice)),
      diskBytes: [],
      device,
      leastMemory: 0,
      arrays: mostOf(needs),
      out: null,
    }
  } finally {
    await runtime.dispose()
  }
}
