import type { ComparisonRequest, ComparisonState, MethodComparison } from '@shared/comparisons'
import { AppError, toAppError, type AppErrorData } from '@shared/errors'
import { isOpen, isOver, isStopped, type JobState } from '@shared/jobs'
import { METHOD_NAMES } from '@shared/methods'
import type { RunSettings, RunSummary } from '@shared/projects'
import { Serial } from '../storage/Serial'
import type { BaseModel } from './BaseModel'
import type { ProjectRecord } from './ProjectRecord'
import type { RunBook } from './RunBook'
import type { ProjectFile } from './schemas'
import type { PartServices } from './services'
import type { Texts } from './Texts'
import type { Trainings } from './Trainings'

type Stored = NonNullable<ProjectFile['comparison']>

interface Parts {
  readonly runs: RunBook
  readonly texts: Texts
  readonly trainings: Trainings
}

/**
 * A project's comparison of all methods at one depth: grown where they are missing, then measured, then trained and
 * measured again where that is asked for. Each step is a run, a measurement or a training like any other; the next one is
 * begun when something in the project has changed and the one before is over.
 */
export class Comparisons {
  readonly #serial = new Serial()
  /** The job that measures, while this program is open. */
  #job: string | null = null

  constructor(
    private readonly record: ProjectRecord,
    private readonly base: BaseModel,
    private readonly parts: Parts,
    private readonly services: PartServices,
  ) {}

  /** One that ran when the program ended was interrupted. */
  async load(): Promise<void> {
    if (this.#stored?.state === 'running') await this.#change({ state: 'interrupted' })
  }

  /** What a window sees of it. */
  current(): MethodComparison | null {
    const stored = this.#stored
    if (!stored) return null
    const { own: _, runs, ...told } = stored
    const subjects = this.#subjects(stored)
    const model = this.base.state
    const left =
      'summary' in model
        ? this.parts.texts.unmeasured(this.#evaluation(stored, subjects), model.summary).length
        : subjects.length
    return {
      ...told,
      runs: runs.filter((run) => this.parts.runs.has(run)),
      measured: { done: subjects.length - left, all: subjects.length, job: this.#job },
    }
  }

  /**
   * Begins with what is missing.
   *
   * @throws AppError `bad_request` while one runs, when no method is left, or when what is measured on would have been seen;
   * `model_missing`, `not_found` for a text. Nothing was begun then.
   */
  async start(request: ComparisonRequest): Promise<void> {
    await this.#serial.run(() => this.#start(request))
    this.advance()
  }

  async stop(): Promise<void> {
    await this.#serial.run(() => this.#stop())
  }

  async #stop(): Promise<void> {
    const { state, own, training } = this.#known()
    if (state !== 'running') return
    const measuring = this.#job
    await this.#end('stopped', null)
    const { runs, trainings } = this.parts
    const jobs = [
      ...own.filter((run) => runs.has(run)).map((run) => runs.get(run)),
      ...(training !== null && trainings.has(training) ? [trainings.get(training)] : []),
    ].map((part) => (part.isOpen ? part.job : null))
    for (const job of [...jobs, measuring]) if (job !== null) this.services.jobs.cancel(job)
  }

  /** @throws AppError `bad_request` when there is nothing to go on with. */
  async resume(): Promise<void> {
    const { state, runs, training } = this.#known()
    if (state === 'running' || state === 'done') {
      throw new AppError('bad_request', 'The comparison has not been stopped.', {
        context: { actual: state },
      })
    }
    await this.base.ready()
    await this.#serial.run(async () => {
      const { runs: book, trainings } = this.parts
      for (const run of runs) {
        if (book.has(run) && isStopped(book.summary(run).state)) await book.resume(run)
      }
      if (training !== null && trainings.has(training)) {
        if (isStopped(trainings.summary(training).state)) await trainings.resume(training)
      }
      await this.#change({ state: 'running', error: null })
    })
    this.advance()
  }

  /** @throws AppError `bad_request` while it runs. */
  async clear(): Promise<void> {
    this.#refuseRunning()
    await this.record.change({ comparison: null })
  }

  /** Begins the next step if the one before is over; asked whenever something in the project has changed. */
  advance(): void {
    if (this.#stored?.state !== 'running') return
    void this.#serial
      .run(() => this.#advance())
      .catch(async (error: unknown) => this.#end('failed', toAppError(error).toData()))
      .catch((error: unknown) => this.record.report(error))
  }

  /** Resolves when nothing is being begun. */
  async settle(): Promise<void> {
    await this.#serial.idle()
  }

  get #stored(): Stored | null {
    return this.record.file.comparison
  }

  #known(): Stored {
    if (this.#stored) return this.#stored
    throw new AppError('not_found', 'Nothing has been compared yet.')
  }

  #refuseRunning(): void {
    if (this.#stored?.state !== 'running') return
    throw new AppError('bad_request', 'The methods are being compared already.', {
      hint: 'Stop it, or wait until it is done.',
    })
  }

  async #start(request: ComparisonRequest): Promise<void> {
    this.#refuseRunning()
    const { runs, texts, trainings } = this.parts
    const { like, calibration, methods, race } = request
    const asked = calibration === undefined ? like : { ...like, calibration }
    const all = await trainings.starts(asked)
    const chosen = methods.flatMap((method) => all.filter((start) => start.method === method))
    const impossible = chosen.flatMap((start) =>
      start.state === 'impossible' ? [{ method: start.method, reason: start.reason }] : [],
    )
    const [first] = impossible
    if (first && impossible.length === chosen.length) {
      throw new AppError('bad_request', 'None of the methods can make that depth.', {
        hint: first.reason,
        context: { field: 'methods' },
      })
    }
    for (const start of chosen) {
      if (start.state === 'missing') await this.#checkSeen(start.settings, request.text)
      else if (start.state !== 'impossible') {
        await this.#checkSeen(runs.summary(start.run).settings, request.text)
      }
    }
    for (const text of race?.texts ?? []) {
      if (await texts.isText(request.text, text)) throw seen('The starts would be trained on')
    }
    for (const start of chosen) {
      if (start.state === 'missing') await runs.check(start.settings)
    }
    const taken: string[] = []
    const own: string[] = []
    for (const start of chosen) {
      if (start.state === 'impossible') continue
      if (start.state !== 'missing') taken.push(start.run)
      else {
        const { id } = await runs.start(start.settings, undefined)
        taken.push(id)
        own.push(id)
      }
    }
    this.#job = null
    await this.record.change({
      comparison: {
        request: { ...request, like: asked },
        state: 'running',
        runs: taken,
        own,
        impossible,
        training: null,
        error: null,
      },
    })
  }

  /** @throws AppError `bad_request` for what is fitted to the text that it is to be measured on. */
  async #checkSeen({ method, calibration }: RunSettings, text: string): Promise<void> {
    if (!calibration) return
    const places = [calibration.text, ...(calibration.oldText ? [calibration.oldText] : [])]
    for (const place of places) {
      if (await this.parts.texts.isText(text, place)) {
        throw seen(`${METHOD_NAMES[method.name]} would be fitted to`)
      }
    }
  }

  async #advance(): Promise<void> {
    const stored = this.#stored
    if (stored?.state !== 'running') return
    const grown = this.#summaries(stored)
    if (grown.some(({ state }) => isOpen(state))) return
    if (!grown.some(({ model }) => model !== null)) {
      const failed = grown.find(({ error }) => error)
      const error = failed?.error ?? new AppError('bad_request', 'No start was grown.').toData()
      return this.#end('failed', error)
    }
    // Everything about them is on the disk.
    for (const { id } of grown) await this.parts.runs.get(id).settle()
    // Once they train, they have been.
    if (stored.training === null && !(await this.#measured(stored))) return
    if (stored.request.race && !(await this.#raced(stored))) return
    await this.#end('done', null)
  }

  /** Whether all that there is has been measured; begins it where it has not been. */
  async #measured(stored: Stored): Promise<boolean> {
    const { texts } = this.parts
    const request = this.#evaluation(stored, this.#subjects(stored))
    const { summary } = await this.base.ready()
    const job = this.services.jobs.list().find(({ id }) => id === this.#job)
    if (job && !isOver(job)) return false
    if (job?.state === 'succeeded' || texts.unmeasured(request, summary).length === 0) {
      this.#job = null
      return true
    }
    if (job) {
      await this.#end(...endOf(job))
      return false
    }
    const begun = await texts.measure(request, () => this.record.changed())
    this.#job = begun.id
    this.record.changed()
    return false
  }

  /** Whether the starts have been trained and measured after it; begins what is next. */
  async #raced(stored: Stored): Promise<boolean> {
    const { trainings } = this.parts
    const { request, training } = stored
    if (!request.race) return true
    if (training === null) {
      const runs = this.#summaries(stored).flatMap(({ id, model }) => (model ? [id] : []))
      const begun = await trainings.start({ settings: { ...request.race, runs }, grow: [] })
      await this.#change({ training: begun.id })
      return false
    }
    if (!trainings.has(training)) return true
    const { state, error } = trainings.summary(training)
    if (isOpen(state)) return false
    if (state !== 'succeeded') {
      await this.#end(...endOf({ state, error }))
      return false
    }
    // It makes runs of what it has trained.
    await trainings.get(training).settle()
    return this.#measured(this.#known())
  }

  /** Its runs that are there. */
  #summaries({ runs }: Stored): RunSummary[] {
    return runs.filter((run) => this.parts.runs.has(run)).map((run) => this.parts.runs.summary(run))
  }

  /** What is measured: the base, the starts that are grown, and what they were trained to. */
  #subjects(stored: Stored): string[] {
    const { runs, trainings } = this.parts
    const grown = this.#summaries(stored).filter(({ model }) => model !== null)
    const trained =
      stored.training !== null && trainings.has(stored.training)
        ? (trainings.summary(stored.training).result?.starts ?? []).flatMap(({ trained }) =>
            trained !== null && runs.summary(trained).model ? [trained] : [],
          )
        : []
    return ['base', ...grown.map(({ id }) => id), ...trained]
  }

  #evaluation({ request: { text, context, device } }: Stored, subjects: string[]) {
    return { text, context, device, subjects, perLine: false }
  }

  async #end(state: ComparisonState, error: AppErrorData | null): Promise<void> {
    this.#job = null
    const { stack: _, ...told } = error ?? {}
    await this.#change({ state, error: error ? (told as AppErrorData) : null })
  }

  async #change(change: Partial<Stored>): Promise<void> {
    if (this.#stored) await this.record.change({ comparison: { ...this.#stored, ...change } })
  }
}

/** What becomes of a comparison whose measurement or training was not finished. */
function endOf({
  state,
  error,
}: {
  readonly state: JobState
  readonly error?: AppErrorData | null
}): [ComparisonState, AppErrorData | null] {
  if (error) return ['failed', error]
  return [state === 'interrupted' ? 'interrupted' : 'stopped', null]
}

function seen(what: string): AppError {
  return new AppError('bad_request', `${what} the text that all are measured on.`, {
    hint: 'Choose two texts, or split this one: what was seen says nothing about new text.',
    context: { field: 'text' },
  })
}
