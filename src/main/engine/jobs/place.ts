import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobEvent, JobStep, PlaceResult, PlaceSpec } from '@shared/jobs'
import { writeError } from '@system/errors'
import { makeFolder, requireWritable } from '@system/files'
import { requireRoom } from '@system/space'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { checkTexts } from '../corpus/textFiles'
import { checkForwardPass } from '../decoder/ForwardPass'
import { loadTokenizer } from '../evaluation/tokenizer'
import { calibrationContext, calibrationTokens, readCalibration } from '../fitting/calibration'
import { planStream } from '../fitting/memory'
import { StreamedModel } from '../fitting/StreamedModel'
import { mapEvents } from '../lib/reporting'
import { weightOf } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { openGrownCandidate, type GrownCandidate } from '../places/candidates'
import { directionBytes, measurePlaces, type PlaceStep } from '../places/measurePlaces'
import { StageStore } from '../stages/StageStore'
import { remarksOf } from './remarks'
import type { JobEnv, JobRunner } from './runner'

const TEXT_STEP = 'text'

/** Hidden states that are kept to compare layers far apart; a bound on memory makes it less. */
const SAMPLE = { bytes: 256e6, ofBound: 1 / 16 } as const

/** Of the windows that slopes are computed on, how many others there are at the most for each of the two further shares. */
const OTHERS = 0.25

/** Fitted steps that are tried in a gap, and losses that are told of it. */
const TRIED = 7

/** Measures every layer and every gap of a model on a text. */
export const run: JobRunner<'place'> = async function* (spec, env) {
  const started = performance.now()
  const checkpoint = await Checkpoint.open(spec.model)
  try {
    checkForwardPass(checkpoint)
    await loadTokenizer(checkpoint.path)
    const { bytes } = await checkTexts([spec.text])
    const decision = await chooseDevice(spec.device)
    const runtime = await Runtime.open(decision.device)
    const candidates: GrownCandidate[] = []
    try {
      // A wrong candidate is told at once.
      for (const path of spec.candidates) {
        candidates.push(await openGrownCandidate(path, checkpoint, runtime))
      }
      planFor(spec, checkpoint, runtime, windowsAtMost(spec, checkpoint))
      const { folder, dispose } = await scratchFolder(env)
      try {
        const scratch = directionBytes(checkpoint.config)
        await requireRoom([{ path: folder, bytes: scratch }])
        yield { type: 'plan', steps: stepsOf(spec, checkpoint, bytes) }
        yield { type: 'device', decision }
        yield* remarksOf(checkpoint)
        const { report, warnings } = yield* measure(spec, env, {
          checkpoint,
          runtime,
          candidates,
          folder,
        })
        await checkpoint.assertUnchanged()
        return {
          kind: 'place',
          model: spec.model,
          text: spec.text,
          report,
          device: decision,
          warnings,
          seconds: (performance.now() - started) / 1000,
        }
      } finally {
        await dispose()
      }
    } finally {
      for (const candidate of candidates) await candidate.close()
      await runtime.dispose()
    }
  } finally {
    await checkpoint.close()
  }
}

interface Opened {
  readonly checkpoint: Checkpoint
  readonly runtime: Runtime
  readonly candidates: readonly GrownCandidate[]
  /** For what the job keeps while it runs. */
  readonly folder: string
}

async function* measure(
  spec: PlaceSpec,
  { signal, workDir }: JobEnv,
  { checkpoint, runtime, candidates, folder }: Opened,
): AsyncGenerator<JobEvent, Pick<PlaceResult, 'report' | 'warnings'>> {
  const { text, tokens, context } = spec
  const calibration = yield* mapEvents(
    readCalibration({
      spec: {
        text,
        ...(tokens === undefined ? {} : { tokens }),
        ...(context === undefined ? {} : { context }),
      },
      checkpoint,
      rounds: 1,
      seed: spec.seed,
      store: new StageStore(join(workDir ?? folder, 'tokens'), workDir !== undefined),
      signal,
    }),
    (done) => ({ type: 'step' as const, id: TEXT_STEP, done, total: 1 }),
  )
  yield { type: 'step', id: TEXT_STEP, done: 1, total: 1 }
  for (const remark of calibration.remarks) yield { type: 'log', level: 'warning', text: remark }
  const { fit, search } = calibration.round(0)
  const measured = calibration.unseen.text
  const windows = fit.length + search.length + measured.length
  const plan = planFor(spec, checkpoint, runtime, { windows, context: calibration.context })
  const model = await StreamedModel.open(checkpoint, runtime, {
    context: calibration.context,
    plan,
    scratch: folder,
    signal,
  })
  try {
    const report = yield* mapEvents(
      measurePlaces(
        model,
        { fit, search, measured },
        {
          blocks: Math.min(spec.blocks, checkpoint.config.numHiddenLayers),
          candidates,
          sampleBytes: sampleBytes(spec),
          directions: await makeFolderAt(join(folder, 'directions')),
          signal,
        },
      ),
      ({ step, done }) => ({ type: 'step' as const, id: step, done, total: 1 }),
    )
    return { report, warnings: calibration.remarks }
  } finally {
    await model.dispose()
  }
}

function sampleBytes({ memoryBytes = Infinity }: PlaceSpec): number {
  return Math.min(SAMPLE.bytes, SAMPLE.ofBound * memoryBytes)
}

interface Windows {
  readonly windows: number
  readonly context: number
}

function windowsAtMost(spec: PlaceSpec, { config }: Checkpoint): Windows {
  const context = calibrationContext(spec, config)
  const fit = Math.max(1, Math.round(calibrationTokens(spec, config) / context))
  return { windows: Math.ceil(fit * (1 + 2 * OTHERS)), context }
}

/** @throws AppError `not_enough_memory`. */
function planFor(
  spec: PlaceSpec,
  checkpoint: Checkpoint,
  { placement }: Runtime,
  { windows, context }: Windows,
): ReturnType<typeof planStream> {
  const { memoryBytes, deviceMemoryBytes } = spec
  return planStream(checkpoint, {
    context,
    windows,
    lowest: 0,
    placement,
    ...(memoryBytes === undefined ? {} : { memoryBytes: memoryBytes - sampleBytes(spec) }),
    deviceMemoryBytes,
    what: 'measurement',
  })
}

async function makeFolderAt(folder: string): Promise<string> {
  await makeFolder(folder)
  return folder
}

async function scratchFolder({
  workDir,
}: JobEnv): Promise<{ folder: string; dispose: () => Promise<void> }> {
  if (workDir !== undefined) await requireWritable(workDir)
  const parent = workDir ?? tmpdir()
  const folder = await mkdtemp(join(parent, 'lesa-place-')).catch((error: unknown) => {
    throw writeError(error, parent)
  })
  return { folder, dispose: () => rm(folder, { recursive: true, force: true }) }
}

function stepsOf(spec: PlaceSpec, checkpoint: Checkpoint, textBytes: number): JobStep[] {
  const { config } = checkpoint
  const { windows, context } = windowsAtMost(spec, checkpoint)
  const fitted = (windows * context) / (1 + 2 * OTHERS)
  const summary = checkpoint.summarize()
  const { parameters_per_layer: perLayer } = summary
  const forward = 2 * perLayer * config.numHiddenLayers
  // Forward, backward and the blocks' own passes; half of the layers for each thing that is tried at one.
  const passes = 1 + 2 + 2 + 2 + spec.candidates.length
  const tried = ((TRIED + 2 + spec.blocks) * config.numHiddenLayers) / 2
  const steps: readonly (readonly [PlaceStep | typeof TEXT_STEP, string, number])[] = [
    [TEXT_STEP, 'read the text', weightOf({ tokenised: textBytes })],
    ['weights', 'compare neighbouring layers', weightOf({ converted: summary.bytes })],
    ['slopes', 'run forward and backward', weightOf({ products: passes * forward * fitted })],
    [
      'effects',
      'try every layer and gap',
      weightOf({ products: tried * forward * OTHERS * fitted }),
    ],
  ]
  return steps.map(([id, label, weight]) => ({ id, label, weight }))
}
