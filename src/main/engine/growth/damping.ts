/** @file The factor of what new layers add to the residual stream: as it was given, or the best of some on a text. */
import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import { DAMP_CHOICES, describeDamping, type Damp, type DampingReport } from '@shared/damping'
import type { JobEvent, JobStep } from '@shared/jobs'
import { canDamp, fitsText, METHOD_NAMES, type MethodSpec } from '@shared/methods'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { checkForwardPass } from '../decoder/ForwardPass'
import { countPredicted } from '../evaluation/sequences'
import { scoreSequences, type SequenceScore } from '../evaluation/scoring'
import { loadTokenizer } from '../evaluation/tokenizer'
import { scoringWork } from '../evaluation/work'
import { calibrationTokens, readCalibration } from '../fitting/calibration'
import { mapEvents } from '../lib/reporting'
import { weightOf, type Work } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import type { StageStore } from '../stages/StageStore'
import type { GrowthSpec } from './grow'
import type { GrownLayout } from './grownLayout'
import { passThrough, type UnwrittenModel } from './grownPass'

/** The factor that tensors are laid out with before it is chosen: which one it is changes no shape. */
export function dampOf({ damp }: { readonly damp?: Damp | undefined }): number {
  return typeof damp === 'number' ? damp : 1
}

/**
 * Refuses, before anything is computed, what cannot be damped.
 *
 * @throws AppError `bad_request` for a method whose new layers are not damped, and for `auto` without a text;
 *   `bad_tokenizer`, `unsupported_architecture`.
 */
export async function checkDamping(spec: GrowthSpec, checkpoint: Checkpoint): Promise<void> {
  if (spec.damp === undefined) return
  requireOutput(spec.method)
  if (spec.damp !== 'auto') return
  if (spec.calibration === undefined) {
    throw new AppError('bad_request', 'Choosing the damping needs a text.', {
      hint: 'Give a text of the kind that the model is to learn, or a factor.',
      context: { field: 'calibration', expected: 'a text', actual: 'none' },
    })
  }
  checkForwardPass(checkpoint)
  await loadTokenizer(checkpoint.path)
}

function requireOutput({ name }: MethodSpec): void {
  if (canDamp(name)) return
  const message = `The new layers of ${METHOD_NAMES[name]} are not damped: ${fitsText(name) ? 'their size is chosen on the text' : 'they add nothing'}.`
  throw new AppError('bad_request', message, {
    context: { field: 'damp', expected: 'another method', actual: name },
  })
}

const STEP = 'damp'

/** Of the step: reading the text. */
const READING_SHARE = 0.1

/** Passes for a choice: each factor's, then the chosen one's and zero's on other windows. */
const PASSES = DAMP_CHOICES.length + 2

/** The step of choosing, where there is one. */
export function dampingSteps(
  { damp, calibration }: GrowthSpec,
  checkpoint: Checkpoint,
  layers: number,
): JobStep[] {
  if (damp !== 'auto' || calibration === undefined) return []
  const weight = weightOf(dampingWork(calibration, checkpoint, layers))
  return [{ id: STEP, label: 'choose the damping', weight }]
}

/** Every factor's pass over the windows that it is chosen by: a quarter of a round's. */
export function dampingWork(
  calibration: NonNullable<GrowthSpec['calibration']>,
  checkpoint: Checkpoint,
  layers: number,
): Work {
  const { config } = checkpoint
  const tokens = (calibrationTokens(calibration, config) / 4) * PASSES
  const grown = { ...config, numHiddenLayers: layers }
  const work = scoringWork(grown, checkpoint.summarize(), tokens)
  return {
    products: (work.layers.products ?? 0) + (work.head.products ?? 0),
    converted: (work.layers.converted ?? 0) * PASSES,
  }
}

interface Chosen {
  readonly spec: GrowthSpec
  readonly store: StageStore
  readonly signal: AbortSignal
  readonly model: Omit<UnwrittenModel, 'layout'>
  readonly layoutOf: (damp: number) => GrownLayout
}

/**
 * The best of {@link DAMP_CHOICES} on the text, zero included: the lowest mean loss over windows of it, told on others.
 * `null` where the factor is given.
 *
 * @throws AppError as `readCalibration`, and `numeric_failure` where no factor gives a finite loss.
 */
export async function* chooseDamping({
  spec,
  store,
  signal,
  model,
  layoutOf,
}: Chosen): AsyncGenerator<JobEvent, DampingReport | null> {
  const { calibration: text, seed } = spec
  if (spec.damp !== 'auto' || text === undefined) return null
  const { checkpoint } = model
  const step = (done: number): JobEvent => ({ type: 'step', id: STEP, done, total: 1 })
  yield step(0)
  const reading = readCalibration({ spec: text, checkpoint, rounds: 1, seed, store, signal })
  const calibration = yield* mapEvents(reading, (share) => step(READING_SHARE * share))
  const { search } = calibration.round(0)
  const unseen = calibration.unseen.text
  const { device } = await chooseDevice(spec.device)
  const runtime = await Runtime.open(device)
  let finished = 0
  async function* lossWith(
    factor: number,
    windows: readonly Int32Array[],
  ): AsyncGenerator<JobEvent, number | null> {
    const pass = passThrough({ ...model, layout: layoutOf(factor) }, runtime, signal)
    try {
      const scoring = scoreSequences(pass, windows)
      const scores = yield* mapEvents(scoring, ({ stage, done, total }) => {
        const part = stage === 'head' ? 1 : Math.min(1, done / total)
        return step(READING_SHARE + ((1 - READING_SHARE) * (finished + 0.9 * part)) / PASSES)
      })
      return meanLoss(scores)
    } catch (error) {
      // A factor that makes the model overflow is not taken.
      if (error instanceof AppError && error.code === 'numeric_failure') return null
      throw error
    } finally {
      finished += 1
      await pass.dispose()
    }
  }
  try {
    const tried: { factor: number; loss: number | null }[] = []
    for (const factor of DAMP_CHOICES) {
      const loss = yield* lossWith(factor, search)
      tried.push({ factor, loss })
      if (loss !== null) yield { type: 'metric', series: 'damp/loss', x: [factor], y: [loss] }
    }
    const losses = tried.map(({ loss }) => loss ?? Infinity)
    const { factor, loss } = tried[losses.indexOf(Math.min(...losses))] ?? { factor: 0, loss: null }
    if (loss === null) throw notFinite(checkpoint)
    const own = yield* lossWith(factor, unseen)
    const ofZero = factor === 0 ? own : yield* lossWith(0, unseen)
    if (own === null || ofZero === null) throw notFinite(checkpoint)
    const report: DampingReport = {
      factor,
      tried,
      text: basename(text.text),
      tokens: search.reduce((sum, window) => sum + window.length - 1, 0),
      unseen: { loss: own, lossOfZero: ofZero },
    }
    yield step(1)
    yield { type: 'log', level: 'info', text: describeDamping(report) }
    return report
  } finally {
    await runtime.dispose()
  }
}

function meanLoss(scores: readonly SequenceScore[]): number {
  const sum = scores.reduce(
    (total, { losses }) => total + losses.reduce((own, loss) => own + loss, 0),
    0,
  )
  return sum / countPredicted(scores)
}

function notFinite({ path }: Checkpoint): AppError {
  return new AppError('numeric_failure', 'The model has no finite loss on the text.', {
    hint: 'Look at its weights: the base model computes what is not finite by itself.',
    context: { file: path, field: 'damp' },
  })
}
