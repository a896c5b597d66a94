/**
 * @file The trainings of all models, one after another: a model's values, moments and kernels take the memory that there
 * is, and changing between models in mid-training would cost a state written and one read each time. All draw into the
 * same axes, on the same batches, so the order does not matter for what they show; and of a race that is stopped early
 * the first models are whole.
 */
import type { Device } from '@shared/devices'
import { AppError } from '@shared/errors'
import type { JobEvent, JobStep, PretrainSpec } from '@shared/jobs'
import {
  comparedCurve,
  defaultEvalEvery,
  defaultWarmup,
  stepsToReach,
  trialSteps,
  type PretrainedModel,
  type TrainingCurves,
} from '@shared/pretraining'
import { scheduleNamed } from '@shared/schedules'
import { formatDuration, formatNumber } from '@shared/units'
import { weightOf } from '../lib/work'
import type { Runtime } from '../onnx/Runtime'
import type { Entrant } from './entrants'
import type { LayerTrainer } from '../pretraining/LayerTrainer'
import { batchesOf, type Material } from './material'
import { tellCurves, train, type TrainingRun } from '../pretraining/training'
import { TrainingStates, type TrainingCourse } from '../pretraining/trainingStates'

/** What decides the weights of a state, and of what its curves are; to be changed with the trainer's own arithmetic. */
const STATE_VERSION = 1

export interface RaceOptions {
  readonly spec: PretrainSpec
  readonly context: number
  readonly material: Material
  readonly runtime: Runtime
  readonly device: Device
  /** For the states of all trainings, and whether it outlives the job. */
  readonly states: { readonly folder: string; readonly keeps: boolean }
  readonly scratch: string
  readonly signal: AbortSignal
  readonly pauses: AbortSignal | undefined
}

/** What the trainings of one model came to, but for comparisons. */
export type Trained = Omit<PretrainedModel, 'steps_to_reach'>

/** Writes a trained model and returns where it will be. */
export type WriteModel = (
  entrant: Entrant,
  trainer: LayerTrainer,
  training: { readonly lr: number; readonly course: TrainingCourse },
) => AsyncGenerator<JobEvent, string>

type Trial = PretrainedModel['trials'][number]

/** One training that there is to be, and how much of it is there already. */
interface Planned {
  readonly id: string
  readonly label: string
  readonly start: number
  readonly until: number
  /** Step that a kept state is of, `start` without one; and the seconds that it took. */
  readonly from: number
  readonly seconds: number
}

export class Race {
  /** Of each model, rate and repeat: what a store has seen to be whole is not read again. */
  readonly #runs = new Map<string, TrainingRun>()
  readonly #planned = new Map<string, Planned>()
  /** Of trials that were not gone on with. */
  trialSeconds = 0

  constructor(private readonly options: RaceOptions) {}

  get steps(): number {
    return this.options.material.steps
  }

  get warmup(): number {
    return this.options.spec.warmup ?? defaultWarmup(this.steps)
  }

  /** The steps of the job for a model's trainings; looks for states that were kept. */
  async plan(entrant: Entrant): Promise<JobStep[]> {
    const { rates, trialUntil, repeats } = this.#shape
    const planned: Planned[] = []
    const trials = new Map<number, TrainingCourse | null>()
    for (const lr of rates) {
      const run = await this.#run(entrant, lr, 0)
      const ended = trialUntil > 0 ? await run.states.ended(trialUntil) : null
      trials.set(lr, ended)
      if (trialUntil === 0) continue
      const from = ended ? trialUntil : await this.#kept(run, trialUntil)
      planned.push({
        id: trialId(entrant, lr),
        label: `${entrant.name}: trial of ${formatNumber(lr)}`,
        start: 0,
        until: trialUntil,
        ...(typeof from === 'number' ? { from, seconds: ended?.seconds ?? 0 } : from),
      })
    }
    const best = trialUntil === 0 ? rates[0] : bestOf(trials)
    for (const repeat of repeats) {
      const id = trainId(entrant, repeat)
      const name = repeat === 0 ? entrant.name : `${entrant.name}, seed ${this.#seed(repeat)}`
      const start = repeat === 0 ? trialUntil : 0
      let kept = { from: start, seconds: 0 }
      if (best !== undefined) {
        const run = await this.#run(entrant, best, repeat)
        const ended = await run.states.ended(this.steps)
        // Of the first seed the weights are wanted as well.
        const isOver = ended !== null && (repeat > 0 || ended.diverged !== null)
        kept = isOver
          ? { from: this.steps, seconds: ended.seconds }
          : await this.#kept(run, this.steps)
      }
      const label = `${name}: training`
      planned.push({
        id,
        label,
        start,
        until: this.steps,
        ...kept,
        from: Math.max(start, kept.from),
      })
    }
    for (const each of planned) this.#planned.set(each.id, each)
    const { spec, context } = this.options
    const ofStep = stepWeight(entrant, spec.batch * context)
    return [
      ...planned.flatMap(({ id, label, start, until, from }) => [
        ...(from > start
          ? [{ id: keptId(id), label: `${label}, before`, weight: (from - start) * ofStep }]
          : []),
        ...(until > from ? [{ id, label, weight: (until - from) * ofStep }] : []),
      ]),
      writeStep(entrant),
    ]
  }

  /** Tells which steps were taken by earlier jobs. */
  *tellKept(): Generator<JobEvent, void> {
    for (const { id, start, from, seconds } of this.#planned.values()) {
      if (from <= start) continue
      yield { type: 'step', id: keptId(id), done: 1, total: 1, kept: seconds }
    }
  }

  /** Tries the rates, trains with the best, writes what came of it, and trains again with further seeds. */
  async *trainEntrant(entrant: Entrant, write: WriteModel): AsyncGenerator<JobEvent, Trained> {
    const { spec, context } = this.options
    const { lr, trials, lost } = yield* this.#chooseRate(entrant)
    const run = await this.#run(entrant, lr, 0)
    const before = lost ?? (await run.states.ended(this.steps))
    let course: TrainingCourse
    let out: string | null = null
    if (before?.diverged) {
      yield* tellCurves(run, before)
      course = before
    } else {
      const ended = yield* this.#train(run, trainId(entrant, 0), (trainer, done) =>
        write(entrant, trainer, { lr, course: done }),
      )
      course = ended.course
      out = ended.used
    }
    const repeats: TrainingCurves[] = []
    if (course.diverged) yield* this.#tellDiverged(run, course)
    else {
      for (const repeat of this.#shape.repeats.slice(1)) {
        repeats.push(yield* this.#repeat(entrant, lr, repeat))
      }
    }
    const inputs = [...entrant.trained].reduce((sum, name) => sum + elementsIn(entrant, name), 0)
    return {
      model: entrant.path,
      name: entrant.name,
      out,
      steps: course.step,
      tokens: course.step * spec.batch * context,
      lr,
      trained_layers: entrant.layers,
      trained_parameters: inputs,
      seconds: course.seconds,
      ...course.curves,
      diverged: course.diverged,
      repeats,
      trials,
    }
  }

  async *#repeat(
    entrant: Entrant,
    lr: number,
    repeat: number,
  ): AsyncGenerator<JobEvent, TrainingCurves> {
    const run = await this.#run(entrant, lr, repeat)
    const before = await run.states.ended(this.steps)
    if (before) {
      yield* tellCurves(run, before)
      return before.curves
    }
    const { course } = yield* this.#train(run, trainId(entrant, repeat), nothing)
    if (course.diverged) yield* this.#tellDiverged(run, course)
    return course.curves
  }

  /** Trains to the end, and notes how it ended where the weights are not needed again. */
  async *#train<T>(
    run: TrainingRun,
    id: string,
    use: (trainer: LayerTrainer, course: TrainingCourse) => AsyncGenerator<JobEvent, T>,
  ): AsyncGenerator<JobEvent, { readonly course: TrainingCourse; readonly used: T | null }> {
    const { keeps } = run.states
    const ended = yield* train(
      run,
      {
        until: this.steps,
        savesEnd: keeps && run.repeat === 0,
        progress: { id, from: this.#planned.get(id)?.from ?? 0 },
        tellsCurves: true,
      },
      use,
    )
    if (keeps && (run.repeat > 0 || ended.course.diverged)) {
      await run.states.end(this.steps, ended.course)
    }
    if (run.repeat > 0 && !ended.course.diverged) await run.states.dropStates()
    else await run.states.settle()
    return ended
  }

  async *#chooseRate(
    entrant: Entrant,
  ): AsyncGenerator<
    JobEvent,
    { readonly lr: number; readonly trials: readonly Trial[]; readonly lost: TrainingCourse | null }
  > {
    const { rates, trialUntil } = this.#shape
    const [only = 0] = rates
    if (trialUntil === 0) return { lr: only, trials: [], lost: null }
    const courses = new Map<number, TrainingCourse>()
    for (const lr of rates) {
      const run = await this.#run(entrant, lr, 0)
      const known = await run.states.ended(trialUntil)
      const course = known ?? (yield* this.#try(entrant, run, lr))
      courses.set(lr, course)
      yield { type: 'log', level: 'info', text: describeTrial(entrant, lr, course) }
      // One state at a time is gone on with.
      const best = bestOf(courses)
      for (const other of courses.keys()) {
        if (other !== best) await (await this.#run(entrant, other, 0)).states.dropStates()
      }
    }
    const best = bestOf(courses)
    const lr = best ?? Math.min(...rates)
    const trials = [...courses].map(([rate, course]) => ({
      lr: rate,
      steps: course.step,
      loss: course.diverged?.loss ?? judged(course),
      seconds: course.seconds,
    }))
    const wasted = trials.filter(({ lr: rate }) => rate !== lr)
    const seconds = wasted.reduce((sum, trial) => sum + trial.seconds, 0)
    this.trialSeconds += seconds
    if (best === undefined) return { lr, trials, lost: courses.get(lr) ?? null }
    const text =
      `${entrant.name}: going on with a learning rate of ${formatNumber(lr)}; ` +
      `the trials of the others took ${formatDuration(seconds * 1000)}.`
    yield { type: 'log', level: 'info', text }
    return { lr, trials, lost: null }
  }

  async *#try(
    entrant: Entrant,
    run: TrainingRun,
    lr: number,
  ): AsyncGenerator<JobEvent, TrainingCourse> {
    const { trialUntil: until } = this.#shape
    const id = trialId(entrant, lr)
    const progress = { id, from: this.#planned.get(id)?.from ?? 0 }
    const { course } = yield* train(
      run,
      { until, savesEnd: true, progress, tellsCurves: false },
      nothing,
    )
    if (run.states.keeps) await run.states.end(until, course)
    return course
  }

  async *#tellDiverged(
    { name, seed, states }: TrainingRun,
    course: TrainingCourse,
  ): AsyncGenerator<JobEvent, void> {
    const good = states.keeps ? await states.latest(course.step, () => undefined) : null
    const { step, loss } = course.diverged ?? { step: 0, loss: NaN }
    const start = course.curves.loss[0]?.[1] ?? NaN
    const text =
      `${name}: the training with seed ${seed} diverged at step ${step}, with a loss of ${loss.toFixed(3)} ` +
      `after ${start.toFixed(3)} at the start.` +
      (good ? ` Its last good state, of step ${good.course.step}, is in ${states.folder}.` : '')
    yield { type: 'log', level: 'warning', text }
  }

  // ---- what there is to train -----------------------------------------------------------------------------------

  get #shape(): {
    readonly rates: readonly number[]
    /** Steps of a trial; 0 where there is nothing to try. */
    readonly trialUntil: number
    readonly repeats: readonly number[]
  } {
    const { learningRates, repeats } = this.options.spec
    const rates = [...new Set(learningRates)]
    return {
      rates,
      trialUntil: rates.length > 1 ? trialSteps(this.steps) : 0,
      repeats: Array.from({ length: repeats }, (_, repeat) => repeat),
    }
  }

  #seed(repeat: number): number {
    // A seed has 32 bits.
    return (this.options.spec.seed + repeat) >>> 0
  }

  async #kept(run: TrainingRun, until: number): Promise<{ from: number; seconds: number }> {
    const found = await run.states.latest(until, () => undefined)
    return { from: found?.course.step ?? 0, seconds: found?.course.seconds ?? 0 }
  }

  async #run(entrant: Entrant, lr: number, repeat: number): Promise<TrainingRun> {
    const name = `${entrant.index}/${lr}/${repeat}`
    const known = this.#runs.get(name)
    if (known) return known
    const { spec, context, material, runtime, scratch, signal, pauses } = this.options
    const seed = this.#seed(repeat)
    const optimiser = {
      learningRate: lr,
      beta1: spec.beta1,
      beta2: spec.beta2,
      epsilon: spec.epsilon,
      weightDecay: spec.weightDecay,
    }
    const settings = {
      layers: entrant.layers,
      parts: spec.trainedParts,
      optimiser,
      schedule: scheduleNamed(spec.schedule, this.steps, this.warmup),
      outputRateFactor: spec.outputRateFactor,
      clip: spec.clip,
    }
    const { schedule: _, ...decisive } = settings
    const key = {
      version: STATE_VERSION,
      model: await entrant.checkpoint.fingerprint(),
      ...decisive,
      schedule: {
        name: spec.schedule,
        warmup: this.warmup,
        // What comes before does not depend on it where the rate stays level: such a training can be prolonged.
        steps: spec.schedule === 'constant' ? null : this.steps,
      },
      context,
      batch: spec.batch,
      order: spec.order,
      seed,
      device: this.options.device,
      texts: {
        train: { digest: material.digest, count: material.windows },
        eval: material.eval?.key ?? null,
        forgetting: material.forgetting?.key ?? null,
      },
    }
    const { states } = this.options
    const run: TrainingRun = {
      name: entrant.name,
      checkpoint: entrant.checkpoint,
      runtime,
      options: {
        settings,
        context,
        batch: spec.batch,
        memoryBytes: spec.memoryBytes,
        deviceMemoryBytes: spec.deviceMemoryBytes,
        scratch,
        signal,
      },
      seed,
      repeat,
      steps: this.steps,
      batchAt: batchesOf(material, { ...spec, seed }),
      texts: {
        eval: material.eval?.windows ?? [],
        forgetting: material.forgetting?.windows ?? [],
      },
      evalEvery: spec.evalEvery ?? defaultEvalEvery(this.steps),
      saveEveryMs: spec.saveEvery * 60_000,
      states: new TrainingStates(states.folder, states.keeps, key),
      pauses,
    }
    this.#runs.set(name, run)
    return run
  }
}

/** Adds from which step on each model was as good as each other one in the end. */
export function compare(trained: readonly Trained[]): PretrainedModel[] {
  return trained.map((mine) => {
    const others = trained.filter(({ name, diverged }) => name !== mine.name && diverged === null)
    const steps = others.flatMap((other) => {
      const last = comparedCurve(other).at(-1)
      return last ? [[other.name, stepsToReach(comparedCurve(mine), last[1])] as const] : []
    })
    return { ...mine, steps_to_reach: Object.fromEntries(steps) }
  })
}

/** @throws AppError `training_diverged` when all models did. */
export function requireOne(results: readonly PretrainedModel[]): void {
  const [first] = results
  if (!first?.diverged || results.some(({ diverged }) => diverged === null)) return
  const { step, loss } = first.diverged
  const start = first.loss[0]?.[1] ?? NaN
  const who = results.length === 1 ? `The training of ${first.name}` : 'Every training'
  throw new AppError('training_diverged', `${who} diverged; nothing was written.`, {
    hint: 'Train with a lower learning rate (--lr), a longer warm-up (--warmup), or shorter gradients (--clip 1).',
    context: {
      field: 'lr',
      expected: `a loss not far above ${start.toFixed(3)}, that of the first step`,
      actual: `${loss.toFixed(3)} at step ${step}, with a rate of ${formatNumber(first.lr)}`,
    },
  })
}

/** The rate of the lowest loss at the trials' end; nothing when none is there or all diverged. */
function bestOf(courses: ReadonlyMap<number, TrainingCourse | null>): number | undefined {
  let best: { readonly lr: number; readonly loss: number } | undefined
  for (const [lr, course] of courses) {
    // Before all were tried nobody knows.
    if (!course) return undefined
    if (course.diverged) continue
    const loss = judged(course)
    if (!best || loss < best.loss) best = { lr, loss }
  }
  return best?.lr
}

function judged({ curves }: TrainingCourse): number {
  return comparedCurve(curves).at(-1)?.[1] ?? Infinity
}

function describeTrial({ name }: Entrant, lr: number, course: TrainingCourse): string {
  const { curves, diverged, step, seconds } = course
  const what = curves.eval.length > 1 ? 'evaluation loss' : 'smoothed loss'
  const outcome = diverged ? 'diverged' : `${what} ${judged(course).toFixed(4)}`
  return `${name}: trial of a learning rate of ${formatNumber(lr)}: ${outcome} after ${step === 1 ? '1 step' : `${step} steps`} (${formatDuration(seconds * 1000)}).`
}

function elementsIn({ checkpoint }: Entrant, name: string): number {
  const shape = checkpoint.tensors.get(name)?.shape
  return shape?.reduce((product, size) => product * size, 1) ?? checkpoint.zeros.get(name) ?? 0
}

// eslint-disable-next-line require-yield, @typescript-eslint/require-await
async function* nothing(): AsyncGenerator<JobEvent, null> {
  return null
}

/** Of an optimiser step of so many tokens. */
export function stepWeight({ checkpoint }: Entrant, tokens: number): number {
  return weightOf({ products: 6 * checkpoint.summarize().parameters * tokens })
}

export function writeStep(entrant: Entrant): JobStep {
  const label = `${entrant.name}: write checkpoint`
  return { id: writeId(entrant), label, weight: weightOf({ copied: entrant.bytes }) }
}

const trialId = ({ index }: Entrant, lr: number): string => `${index}/trial/${lr}`
export const trainId = ({ index }: Entrant, repeat: number): string => `${index}/train/${repeat}`
export const writeId = ({ index }: Entrant): string => `${index}/write`
const keptId = (id: string): string => `${id}/kept`
