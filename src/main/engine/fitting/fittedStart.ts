/** @file The fitted start as a part of a job: its texts, its rounds, kept as stages, and what it came to. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { FitReport, FitRound, UnseenLosses } from '@shared/fit'
import { fitRoundSchema } from '@shared/fitRecord'
import type { JobEvent, JobStep } from '@shared/jobs'
import type { CalibrationSpec } from '@shared/jobs/growth'
import { pairedDifference } from '@shared/verdict'
import { removeFolder } from '@system/files'
import { elementsOf } from '../architectures/Architecture'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { mapEvents } from '../lib/reporting'
import { weightOf } from '../lib/work'
import type { Runtime } from '../onnx/Runtime'
import { Units } from '../pretraining/Units'
import type { StageStore } from '../stages/StageStore'
import {
  calibrationContext,
  calibrationTokens,
  readCalibration,
  windowsOf,
  type Calibration,
} from './calibration'
import { DAMPING, SOLVER_ITERATIONS } from './direction'
import { fitRound, measurer, readOutputs, type WindowLosses } from './fit'
import { outputSlotOf, type OutputSlot } from './graphs'
import { planStream, type StreamPlan } from './memory'
import { FIRST_STEP } from './stepSize'
import { StreamedModel, type Block } from './StreamedModel'
import { roundWork, unseenWork, type FitSize } from './work'

/** Of what is kept: another version's is made anew. */
const VERSION = 1

const STEPS = { texts: 'fit/texts', unseen: 'fit/unseen' } as const
const roundStep = (round: number): string => `fit/round-${round}`

const ROUND_FILE = 'round.json'
export interface FitRequest {
  readonly checkpoint: Checkpoint
  /** The layer after which each block stands, in order. */
  readonly layers: readonly number[]
  readonly calibration: CalibrationSpec
  readonly rounds: number
  readonly seed: number
  readonly memoryBytes?: number | undefined
  readonly deviceMemoryBytes?: number | undefined
}

export interface FitContext {
  readonly runtime: Runtime
  readonly store: StageStore
  /** For what is not kept. */
  readonly scratch: string
  readonly signal: AbortSignal
}

export interface FittedStart {
  readonly report: FitReport
  /** A block's output matrix, row-major; zeros where no step helped. */
  outputs(block: number, slot: OutputSlot): Promise<Float32Array>
}

/** As far as it is known before the texts are read. */
export function fitSize(request: FitRequest): FitSize {
  const { checkpoint, calibration, layers } = request
  const context = calibrationContext(calibration, checkpoint.config)
  const wanted = Math.max(
    1,
    Math.round(calibrationTokens(calibration, checkpoint.config) / context),
  )
  return { context, layers, ...windowsOf(wanted) }
}

/** Its steps for a job's plan. */
export function fitSteps(request: FitRequest): JobStep[] {
  const size = fitSize(request)
  const { checkpoint, rounds } = request
  return [
    { id: STEPS.texts, label: 'read the calibration text', weight: 1e9 },
    ...Array.from({ length: rounds }, (_, round) => ({
      id: roundStep(round),
      label: rounds === 1 ? 'fit the new layers' : `fit the new layers, round ${round + 1}`,
      weight: weightOf(roundWork(checkpoint, size)),
    })),
    {
      id: STEPS.unseen,
      label: 'measure what was not fitted to',
      weight: weightOf(unseenWork(checkpoint, size)),
    },
  ]
}

/**
 * Fits the output matrices of new blocks to a text.
 *
 * @throws AppError as `readCalibration` and `planStream`; `numeric_failure`.
 */
export async function* fitStart(
  request: FitRequest,
  context: FitContext,
): AsyncGenerator<JobEvent, FittedStart> {
  const { checkpoint, layers, rounds, seed } = request
  const { runtime, store, scratch, signal } = context
  const planOf = ({ context: length, fit, search, unseen }: FitSize): StreamPlan =>
    planStream(checkpoint, {
      context: length,
      windows: Math.max(fit, search, unseen),
      lowest: layers[0] ?? 0,
      placement: runtime.placement,
      memoryBytes: request.memoryBytes,
      deviceMemoryBytes: request.deviceMemoryBytes,
      what: 'fit',
    })
  // A text that is shorter than it may be only makes it smaller.
  planOf(fitSize(request))
  const calibration = yield* mapEvents(
    readCalibration({ spec: request.calibration, checkpoint, rounds, seed, store, signal }),
    (done): JobEvent => ({ type: 'step', id: STEPS.texts, done, total: 1 }),
  )
  yield { type: 'step', id: STEPS.texts, done: 1, total: 1 }
  for (const text of calibration.remarks) yield { type: 'log', level: 'warning', text }
  const size = sizeOf(calibration, layers)
  const plan = planOf(size)
  const model = await StreamedModel.open(checkpoint, runtime, {
    context: calibration.context,
    plan,
    scratch: join(scratch, 'fit'),
    signal,
  })
  try {
    const key = {
      version: VERSION,
      model: await checkpoint.fingerprint(),
      layers,
      texts: calibration.digests,
      calibration: { ...request.calibration, text: null, oldText: null },
      context: calibration.context,
      rounds,
      seed,
      damping: DAMPING,
      iterations: SOLVER_ITERATIONS,
      device: runtime.device,
    }
    const zero: Block[] = layers.map((layer) => ({ layer, outputs: null }))
    let blocks = zero
    const told: FitRound[] = []
    let first: number = FIRST_STEP
    for (let round = 0; round < rounds; round += 1) {
      const stage = roundStage(round, { key, calibration, model, context, size })
      const found = yield* stage(blocks, first)
      const fitted = fitRoundSchema.parse(
        JSON.parse(await readFile(join(found, ROUND_FILE), 'utf8')),
      )
      told.push(fitted)
      yield { type: 'log', level: 'info', text: sentenceOf(fitted, round) }
      if (fitted.step === 0) break
      first = fitted.step
      blocks = layers.map((layer, block) => ({ layer, outputs: () => readOutputs(found, block) }))
    }
    for (let round = told.length; round < rounds; round += 1) {
      yield { type: 'step', id: roundStep(round), done: 1, total: 1 }
    }
    const { unseen } = calibration
    const total = 2 * (2 + unseen.text.length + (unseen.oldText?.length ?? 0))
    const units = new Units(total * checkpoint.config.numHiddenLayers)
    const measured = async function* (
      windows: readonly Int32Array[] | null,
    ): AsyncGenerator<JobEvent, UnseenLosses | null> {
      if (windows === null) return null
      const measuring = compare(model, windows, zero, blocks)
      return yield* mapEvents(units.count(measuring), (portion): JobEvent => ({
        type: 'step',
        id: STEPS.unseen,
        ...portion,
      }))
    }
    const [text, oldText] = [yield* measured(unseen.text), yield* measured(unseen.oldText)]
    yield { type: 'step', id: STEPS.unseen, done: 1, total: 1 }
    return {
      report: {
        texts: calibration.texts,
        old_texts: calibration.oldTexts,
        context: calibration.context,
        rounds: told,
        unseen: text!,
        unseen_old: oldText,
      },
      outputs: async (block, slot) =>
        (await blocks[block]?.outputs?.())?.[slot] ??
        zeroOutput(checkpoint, layers[block] ?? 0, slot),
    }
  } finally {
    await model.dispose()
    await removeFolder(join(scratch, 'fit'))
  }
}

function zeroOutput(checkpoint: Checkpoint, layer: number, slot: OutputSlot): Float32Array {
  const found = checkpoint.slotsOf(layer).find(({ id }) => outputSlotOf(id) === slot)
  return new Float32Array(elementsOf(found?.weight.shape ?? [0]))
}

function sizeOf(calibration: Calibration, layers: readonly number[]): FitSize {
  const { fit, search } = calibration.round(0)
  const { text, oldText } = calibration.unseen
  return {
    context: calibration.context,
    layers,
    fit: fit.length,
    search: search.length,
    unseen: Math.max(text.length, oldText?.length ?? 0),
  }
}

/** A round that is found in the store, or computed into it; gives the folder of what it left. */
function roundStage(
  round: number,
  {
    key,
    calibration,
    model,
    context: { store, scratch },
    size,
  }: {
    readonly key: object
    readonly calibration: Calibration
    readonly model: StreamedModel
    readonly context: FitContext
    readonly size: FitSize
  },
): (blocks: readonly Block[], first: number) => AsyncGenerator<JobEvent, string> {
  return async function* (blocks, first) {
    const id = roundStep(round)
    const stage = `fit-${round + 1}`
    const found = await store.find(stage, key)
    if (found && 'folder' in found) {
      yield { type: 'step', id, done: 1, total: 1, kept: null }
      return found.folder
    }
    if (found) yield { type: 'log', level: 'warning', text: `Fitted anew: ${found.damage}.` }
    const draft = await store.begin(stage, key)
    const directions = join(scratch, 'fit', 'directions')
    try {
      await mkdir(directions, { recursive: true })
      const fitting = fitRound(model, calibration.round(round), blocks, {
        directions,
        outputs: draft.folder,
        first,
      })
      const units = new Units(unitsOf(model, size))
      const fitted = yield* mapEvents(units.count(fitting), (portion): JobEvent => ({
        type: 'step',
        id,
        ...portion,
      }))
      await writeFile(join(draft.folder, ROUND_FILE), JSON.stringify(fitted))
      await model.checkpoint.assertUnchanged()
      const folder = await draft.commit()
      yield { type: 'step', id, done: 1, total: 1 }
      return folder
    } finally {
      await removeFolder(directions)
      await draft.discard()
    }
  }
}

/** About what a round yields. */
function unitsOf(model: StreamedModel, { fit, search, layers }: FitSize): number {
  const [all, lowest] = [model.checkpoint.config.numHiddenLayers, layers[0] ?? 0]
  const upper = all - lowest
  const groups = (windows: number): number =>
    model.microBatches(Array.from({ length: windows }, () => new Int32Array(model.context))).length
  const direction = groups(fit) * (all + 2 * upper + 2 * layers.length + 2) + 4 * layers.length
  return direction + groups(search) * (lowest + 6 * (upper + layers.length)) + 6 * search
}

async function* compare(
  model: StreamedModel,
  windows: readonly Int32Array[],
  zero: readonly Block[],
  blocks: readonly Block[],
): AsyncGenerator<number, UnseenLosses> {
  const measure = await measurer(model, windows, zero)
  const before = yield* measure(zero)
  const after = blocks === zero ? before : yield* measure(blocks)
  const tokens = windows.length * before.tokensOfWindow
  const losses = ({ sums, tokensOfWindow }: WindowLosses) => ({
    windowNll: sums,
    windowTokens: sums.map(() => tokensOfWindow),
  })
  const mean = ({ sums }: WindowLosses): number => sums.reduce((a, b) => a + b, 0) / tokens
  const difference = pairedDifference(losses(after), losses(before))
  return {
    tokens,
    before: mean(before),
    after: mean(after),
    difference: difference && {
      mean: difference.mean,
      low: difference.low,
      high: difference.high,
    },
  }
}

function sentenceOf({ step, tried, loss }: FitRound, round: number): string {
  const of = (wanted: number): string =>
    (tried.find(([each]) => each === wanted)?.[1] ?? NaN).toFixed(4)
  const head = `Round ${round + 1}, loss ${loss.toFixed(4)} on what it is fitted to: `
  return step === 0
    ? `${head}no step lowers the loss on other windows, so nothing is changed.`
    : `${head}a step of ${step} takes the loss on other windows from ${of(0)} to ${of(step)}.`
}

/** @throws AppError `bad_request` where there is no text to fit to. */
export function requireCalibration(calibration: CalibrationSpec | undefined): CalibrationSpec {
  if (calibration !== undefined) return calibration
  throw new AppError('bad_request', 'A fitted start needs a text that it is fitted to.', {
    hint: 'Give a text of the kind that the grown model is to learn.',
    context: { field: 'calibration', expected: 'a text', actual: 'none' },
  })
}
