/** @file One training of one model: from where it was, to where it is wanted, with its curves and the states that are kept. */
import { AppError } from '@shared/errors'
import type { JobEvent } from '@shared/jobs'
import { curveSeries, type CurveKind, type CurvePoint } from '@shared/pretraining'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Runtime } from '../onnx/Runtime'
import { DivergenceWatch, isFarAbove } from './divergence'
import { LayerTrainer, type LayerTrainerOptions } from './LayerTrainer'
import type { MeanLoss, Portion } from './settings'
import type { TrainingCourse, TrainingStates } from './trainingStates'

export interface TrainingRun {
  readonly name: string
  readonly checkpoint: Checkpoint
  readonly runtime: Runtime
  readonly options: LayerTrainerOptions
  readonly seed: number
  /** Which of the trainings of this model it is; 0 for the first seed. */
  readonly repeat: number
  /** Of the whole training. */
  readonly steps: number
  /** The windows of a step, counted from 1. */
  readonly batchAt: (step: number) => Promise<Int32Array[]>
  /** What the loss is measured on beside the training; either may be empty. */
  readonly texts: Readonly<Record<'eval' | 'forgetting', readonly Int32Array[]>>
  readonly evalEvery: number
  readonly saveEveryMs: number
  readonly states: TrainingStates
  /** Aborted when the job is to pause. */
  readonly pauses?: AbortSignal | undefined
}

/** How far a training is to go now. */
export interface TrainingGoal {
  /** Steps, at most all of them. */
  readonly until: number
  /** Whether the state at the end is kept. */
  readonly savesEnd: boolean
  /** The job's step that tells how far it is, and the training's step at which that begins. */
  readonly progress: { readonly id: string; readonly from: number }
  /** Whether the curves are told while they grow. A trial's are not: several begin at the same step. */
  readonly tellsCurves: boolean
}

/** About what a window costs in a training step beside an evaluation: forward, and twice as much backward. */
const STEP_COST = 3

/** Progress and curves are told at most this often. */
const TELL_MS = 100

/** A state that is written within a few seconds, so that a job that is cancelled can still keep it. */
const QUICK_BYTES = 256e6

/**
 * Trains until the goal, or until the training diverges, which the course then says; states are kept on the way, and
 * the last whole step's when the job is paused, and when it is cancelled if that takes no time.
 *
 * @param use What is done with the trained layers, unless they diverged, before they are let go.
 * @returns How it went; of `use`, `null` when it diverged.
 * @throws AppError what {@link LayerTrainer.open} throws; `numeric_failure` where the model itself computes what is not
 *   finite, before anything is trained.
 */
export async function* train<T>(
  run: TrainingRun,
  goal: TrainingGoal,
  use: (trainer: LayerTrainer, course: TrainingCourse) => AsyncGenerator<JobEvent, T>,
): AsyncGenerator<JobEvent, { readonly course: TrainingCourse; readonly used: T | null }> {
  const damages: string[] = []
  const found = await run.states.latest(goal.until, (damage) => damages.push(damage))
  for (const damage of damages) {
    const instead = found ? `goes on from step ${found.course.step}` : 'begins anew'
    const text = `${run.name}: a state of the training is damaged (${damage}); it ${instead}.`
    yield { type: 'log', level: 'warning', text }
  }
  const trainer = await LayerTrainer.open(run.checkpoint, run.runtime, run.options)
  try {
    if (found) await trainer.restore(found.folder)
    const loop = new TrainingLoop(run, goal, trainer, found?.course ?? newCourse(run.seed))
    if (found) yield* loop.replay()
    yield* loop.train()
    const { course } = loop
    return { course, used: course.diverged ? null : yield* use(trainer, course) }
  } finally {
    await trainer.dispose()
  }
}

function newCourse(seed: number): TrainingCourse {
  const curves = { seed, loss: [], eval: [], forgetting: [], gradient_norm: [], elapsed: [] }
  return { step: 0, seconds: 0, curves, diverged: null }
}

/** The events that tell the curves of a training as far as it has come. */
export function* tellCurves(
  { name, repeat }: Pick<TrainingRun, 'name' | 'repeat'>,
  { curves }: TrainingCourse,
): Generator<JobEvent, void> {
  for (const kind of ['loss', 'eval', 'forgetting', 'elapsed'] as const) {
    if (curves[kind].length > 0) yield metricOf(curveSeries(kind, name, repeat), curves[kind])
  }
}

function metricOf(series: string, points: readonly CurvePoint[]): JobEvent {
  return {
    type: 'metric',
    series,
    x: points.map(([step]) => step),
    y: points.map(([, value]) => value),
  }
}

class TrainingLoop {
  readonly #watch = new DivergenceWatch()
  /** Points of the training loss that have not been told. */
  #untold: CurvePoint[] = []
  #toldAt = -Infinity
  #savedStep: number
  #savedAt = performance.now()

  constructor(
    private readonly run: TrainingRun,
    private readonly goal: TrainingGoal,
    private readonly trainer: LayerTrainer,
    /** Of the last whole step; grows. */
    readonly course: TrainingCourse,
  ) {
    if (trainer.steps !== course.step) {
      throw new AppError('bug', 'A state of a training is not of the step that it says.', {
        context: {
          file: run.states.folder,
          expected: `step ${course.step}`,
          actual: `step ${trainer.steps}`,
        },
      })
    }
    this.#savedStep = course.step
  }

  /** Tells what lies behind. */
  *replay(): Generator<JobEvent, void> {
    const { step } = this.course
    const text = `${this.run.name}: going on after step ${step} of ${this.run.steps}.`
    if (step < this.goal.until) yield { type: 'log', level: 'info', text }
    if (this.goal.tellsCurves) yield* tellCurves(this.run, this.course)
  }

  async *train(): AsyncGenerator<JobEvent, void> {
    const { course, goal } = this
    const { signal } = this.run.options
    try {
      while (course.diverged === null) {
        if (this.run.pauses?.aborted === true) {
          await this.#save()
          this.run.pauses.throwIfAborted()
        }
        if (this.#isDue(course.step)) yield* this.#measure()
        if (course.step >= goal.until || course.diverged !== null) break
        if (performance.now() - this.#savedAt >= this.run.saveEveryMs) await this.#save()
        signal.throwIfAborted()
        yield* this.#step()
      }
      if (goal.savesEnd && course.diverged === null) await this.#write()
    } catch (error) {
      // Nothing has changed since the last whole step.
      const isQuick = this.trainer.plan.stateBytes <= QUICK_BYTES
      if (signal.aborted && isQuick) await this.#save().catch(() => undefined)
      throw error
    }
    yield* this.#flush()
  }

  async *#step(): AsyncGenerator<JobEvent, void> {
    const { course, run } = this
    const step = course.step + 1
    const windows = await run.batchAt(step)
    const started = performance.now()
    const before = step === 1 ? this.#measureCost : 0
    const report = yield* this.#orDiverged(
      this.#telling(this.trainer.step(windows), { step, before, cost: this.#stepCost }),
      step,
    )
    if (report === null) return
    course.step = step
    course.seconds += (performance.now() - started) / 1000
    course.curves.loss.push([step, report.loss])
    course.curves.gradient_norm.push([step, report.gradientNorm])
    this.#untold.push([step, report.loss])
    if (this.#watch.isSuspicious(course.curves.loss)) yield* this.#lookAgain()
  }

  /** The loss has risen far: is it the layers or the text? The first batch tells, whose loss at the start is known. */
  async *#lookAgain(): AsyncGenerator<JobEvent, void> {
    const { course, run } = this
    const [first] = course.curves.loss
    const again = yield* this.#orDiverged(
      drained(this.trainer.evaluate(await run.batchAt(1))),
      course.step,
    )
    if (again === null) return
    if (isFarAbove(again.loss, first?.[1] ?? NaN)) this.#diverge(course.step)
    else this.#watch.accept(course.curves.loss)
  }

  /** Measures the loss on the texts beside, and notes the time. */
  async *#measure(): AsyncGenerator<JobEvent, void> {
    const { course, run } = this
    const { step } = course
    let before = step === 0 ? 0 : this.#stepCost + (step === 1 ? this.#measureCost : 0)
    const found: Partial<Record<'eval' | 'forgetting', MeanLoss>> = {}
    for (const kind of ['eval', 'forgetting'] as const) {
      const windows = run.texts[kind]
      if (windows.length === 0) continue
      const place = { step: Math.max(step, 1), before, cost: windows.length }
      const evaluation = this.#telling(this.trainer.evaluate(windows), place)
      const measured = yield* step === 0 ? evaluation : this.#orDiverged(evaluation, step)
      if (measured === null) return
      found[kind] = measured
      before += windows.length
    }
    yield* this.#flush()
    const point = (kind: CurveKind & keyof typeof course.curves, value: number): JobEvent => {
      course.curves[kind].push([step, value])
      return metricOf(curveSeries(kind, run.name, run.repeat), [[step, value]])
    }
    // All at once: a state between them would have the one without the other.
    const events = [
      ...(found.eval ? [point('eval', found.eval.loss)] : []),
      ...(found.forgetting ? [point('forgetting', found.forgetting.loss)] : []),
      point('elapsed', course.seconds),
    ]
    if (this.goal.tellsCurves) yield* events
  }

  /** What a part of the training gives; `null` when it is not finite, which is what a diverged training comes to. */
  async *#orDiverged<T>(
    part: AsyncGenerator<JobEvent, T>,
    step: number,
  ): AsyncGenerator<JobEvent, T | null> {
    try {
      return yield* part
    } catch (error) {
      const isLost = error instanceof AppError && error.code === 'numeric_failure'
      // Nothing was trained before the first step: then it is the model's own.
      if (!isLost || this.course.step === 0) throw error
      this.#diverge(step)
      return null
    }
  }

  #diverge(step: number): void {
    const loss = this.course.curves.loss.at(-1)?.[1] ?? 0
    this.course.diverged = { step, loss }
  }

  #isDue(step: number): boolean {
    const isTurn = step % this.run.evalEvery === 0 || step === this.goal.until
    return isTurn && this.course.curves.elapsed.at(-1)?.[0] !== step
  }

  async #save(): Promise<void> {
    if (this.run.states.keeps && this.course.step > this.#savedStep) await this.#write()
    this.#savedAt = performance.now()
  }

  async #write(): Promise<void> {
    if (this.course.step === this.#savedStep) return
    await this.run.states.save(this.course, (folder) => this.trainer.save(folder))
    this.#savedStep = this.course.step
  }

  // ---- telling --------------------------------------------------------------------------------------------------

  get #stepCost(): number {
    return STEP_COST * this.run.options.batch
  }

  get #measureCost(): number {
    return this.run.texts.eval.length + this.run.texts.forgetting.length
  }

  /**
   * Turns portions of a part into progress: what lies between two steps, an evaluation that follows included, is one
   * unit.
   *
   * @param place.before What has been done of the unit; in windows of an evaluation, as `cost`, that of the part.
   */
  async *#telling<T>(
    part: AsyncGenerator<Portion, T>,
    {
      step,
      before,
      cost,
    }: { readonly step: number; readonly before: number; readonly cost: number },
  ): AsyncGenerator<JobEvent, T> {
    const whole =
      this.#stepCost +
      (step === 1 ? this.#measureCost : 0) +
      (step % this.run.evalEvery === 0 || step === this.goal.until ? this.#measureCost : 0)
    const { id, from } = this.goal.progress
    const total = this.goal.until - from
    for (;;) {
      const next = await part.next()
      if (next.done) return next.value
      if (performance.now() - this.#toldAt < TELL_MS) continue
      const { done, total: all } = next.value
      const share = (before + (cost * done) / all) / whole
      yield { type: 'step', id, done: Math.max(0, step - 1 - from + share), total }
      yield* this.#told()
    }
  }

  *#flush(): Generator<JobEvent, void> {
    const { id, from } = this.goal.progress
    const total = this.goal.until - from
    if (total > 0) yield { type: 'step', id, done: Math.max(0, this.course.step - from), total }
    yield* this.#told()
  }

  *#told(): Generator<JobEvent, void> {
    this.#toldAt = performance.now()
    const points = this.#untold
    this.#untold = []
    if (points.length === 0 || !this.goal.tellsCurves) return
    yield metricOf(curveSeries('loss', this.run.name, this.run.repeat), points)
  }
}

/** A generator to its end, without what it says on the way. */
async function* drained<T>(part: AsyncGenerator<unknown, T>): AsyncGenerator<never, T> {
  let next = await part.next()
  while (!next.done) next = await part.next()
  yield* []
  return next.value
}
