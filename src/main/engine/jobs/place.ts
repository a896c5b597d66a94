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
import { readCalibration } from '../fitting/calibration'
import { requireFittable } from '../fitting/fittable'
import { StreamedModel } from '../fitting/StreamedModel'
import { mapEvents } from '../lib/reporting'
import { weightOf, type Work } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import { openGrownCandidate, type GrownCandidate } from '../places/candidates'
import { directionBytes, measurePlaces, type PlaceStep } from '../places/measurePlaces'
import { placeWork, planPlaces, sampleBytes, windowsAtMost } from '../places/work'
import { StageStore } from '../stages/StageStore'
import { remarksOf } from './remarks'
import type { JobEnv, JobRunner } from './runner'

const TEXT_STEP = 'text'

/** Measures every layer and every gap of a model on a text. */
export const run: JobRunner<'place'> = async function* (spec, env) {
  const started = performance.now()
  const checkpoint = await Checkpoint.open(spec.model)
  try {
    checkForwardPass(checkpoint)
    requireFittable(checkpoint, 'places')
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
      planPlaces(spec, checkpoint, runtime.placement, windowsAtMost(spec, checkpoint))
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
  const plan = planPlaces(spec, checkpoint, runtime.placement, {
    context: calibration.context,
    fit: fit.length,
    search: search.length,
    measured: measured.length,
  })
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
  const { weights, slopes, effects } = placeWork(spec, checkpoint, windowsAtMost(spec, checkpoint))
  const steps: readonly (readonly [PlaceStep | typeof TEXT_STEP, string, Work])[] = [
    [TEXT_STEP, 'read the text', { tokenised: textBytes }],
    ['weights', 'compare neighbouring layers', weights],
    ['slopes', 'run forward and backward', slopes],
    ['effects', 'try every layer and gap', effects],
  ]
  return steps.map(([id, label, work]) => ({ id, label, weight: weightOf(work) }))
}
