import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { isStopped, MAX_RACERS, type PretrainSpec } from '@shared/jobs'
import { planExpansion } from '@shared/plan'
import type { RunSeries, RunSettings, RunSummary } from '@shared/projects'
import type {
  StartChoice,
  TrainingDetail,
  TrainingRequest,
  TrainingSettings,
  TrainingSummary,
  TrainingText,
} from '@shared/trainings'
import { exists, removeFolder } from '@system/files'
import { Serial } from '../storage/Serial'
import type { BaseModel } from './BaseModel'
import { projectPaths, runPaths, trainingPaths } from './layout'
import { newFolder, numberOf, unusedName } from './numbering'
import { fileOfText, ownText, textPath } from './ownText'
import type { ProjectRecord } from './ProjectRecord'
import type { RunBook } from './RunBook'
import type { PartServices } from './services'
import { startChoices } from './startChoices'
import { prepareTrainedRun } from './trainedRun'
import { Training, type TrainingListener } from './Training'

/** A project's trainings: from the question what can be compared to the runs that they make. */
export class Trainings {
  readonly #trainings = new Map<string, Training>()
  readonly #serial = new Serial()
  readonly #listener: TrainingListener

  constructor(
    private readonly record: ProjectRecord,
    private readonly base: BaseModel,
    private readonly runs: RunBook,
    private readonly services: PartServices,
  ) {
    this.#listener = {
      onChange: () => record.changed(),
      onEnd: (training) => this.#onEnd(training),
      onProblem: (error) => record.report(error),
    }
  }

  /**
   * Reads what is in the folder; trainings that cannot be read become problems, and models of which no run was made yet,
   * because the program ended, become runs.
   */
  async load(): Promise<void> {
    const entries = await readdir(this.#root, { withFileTypes: true }).catch(() => [])
    const names = entries
      .filter((entry) => entry.isDirectory() && /^\d{3,6}-training$/.test(entry.name))
      .map(({ name }) => name)
      .sort()
    for (const name of names) {
      const loaded = await Training.load(join(this.#root, name), this.#listener)
      if (loaded.state === 'ok') {
        this.#trainings.set(loaded.training.id, loaded.training)
        await this.#makeRuns(loaded.training)
      } else {
        const { setAside, message } = loaded
        this.record.problems.push({ file: `trainings/${name}`, setAside, message })
      }
    }
  }

  has(id: string): boolean {
    return this.#trainings.has(id)
  }

  /** @throws AppError `not_found`. */
  get(id: string): Training {
    const training = this.#trainings.get(id)
    if (training) return training
    throw new AppError('not_found', `The project has no training ${id}.`)
  }

  /** Newest first. */
  summaries(): TrainingSummary[] {
    return [...this.#trainings.keys()]
      .map((id) => this.summary(id))
      .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
  }

  summary(id: string): TrainingSummary {
    return this.get(id).summary(this.record.file.model, {
      run: (run) => (this.runs.has(run) ? this.runs.get(run) : null),
      trained: (training, run) => this.runs.trainedFrom(training, run),
    })
  }

  async detail(id: string): Promise<TrainingDetail> {
    const training = this.get(id)
    const { versions, timings, log } = await training.history()
    const spec = this.#specIn(training.folder, training.file.settings, {
      base: this.base.state.path,
      modelOf: (run) => this.#modelPath(run),
      textOf: (text) => textPath(this.record, text),
    })
    return { training: this.summary(id), spec, versions, timings, log }
  }

  series(id: string, maxPoints: number): Promise<RunSeries> {
    return this.get(id).series(maxPoints)
  }

  /** Bytes of what unfinished trainings can go on from. */
  get workBytes(): number {
    return [...this.#trainings.values()].reduce((sum, { workBytes }) => sum + workBytes, 0)
  }

  /**
   * Every method at the depth of a growth.
   *
   * @throws AppError `model_missing`, `bad_request` for settings that do not fit the model.
   */
  async starts(like: RunSettings): Promise<StartChoice[]> {
    const { summary } = await this.base.ready()
    return startChoices({
      like,
      layers: summary.num_hidden_layers,
      types: summary.layer_types,
      refused: summary.refused_methods,
      draft: this.record.file.draft,
      runs: this.runs.summaries(),
    })
  }

  /**
   * The job that a training would be, for an estimate: a model that is not grown yet is taken to be like one that is.
   *
   * @throws AppError `model_missing`, `not_found`, `bad_request` as long as none of its models is there.
   */
  async specFor({ settings, grow }: TrainingRequest): Promise<PretrainSpec> {
    const { path } = await this.base.ready()
    const { memoryLimitBytes } = await this.services.settings()
    const runs = settings.runs.map((id) => this.runs.summary(id))
    const [grown] = runs.flatMap(({ model }) => (model ? [model.path] : []))
    if (grown === undefined) {
      throw new AppError(
        'bad_request',
        'What the training will cost is known once a start is grown.',
        {
          context: { field: 'runs', expected: 'a grown model, one at least', actual: 'none' },
        },
      )
    }
    const models = [...runs.map(({ model }) => model?.path ?? grown), ...grow.map(() => grown)]
    const names = [...settings.runs, ...grow.map((_, index) => `start ${index + 1}`)]
    const asked = { ...settings, runs: names }
    await this.#checkTexts(settings)
    return this.#specIn(projectPaths.training(this.record.folder, 'next'), asked, {
      base: path,
      modelOf: (name) => models[names.indexOf(name)] ?? grown,
      textOf: (text) => textPath(this.record, text),
      memoryLimitBytes,
    })
  }

  /**
   * Queues what has to be grown first, makes a training and queues its job.
   *
   * @throws AppError `model_missing`, `not_found`, `bad_request` for what cannot be trained, or not together. Nothing was
   * queued then.
   */
  async start({ settings, grow, name }: TrainingRequest): Promise<TrainingSummary> {
    const { summary } = await this.base.ready()
    this.#checkRuns(settings, grow.length)
    for (const { method } of grow) {
      planExpansion(method, summary.num_hidden_layers, summary.layer_types)
    }
    await this.#checkTexts(settings)
    const grown: RunSummary[] = []
    for (const each of grow) grown.push(await this.runs.start(each, undefined))
    const runs = [...settings.runs, ...grown.map(({ id }) => id)]
    const training = await this.#serial.run(async () => {
      const folder = await newFolder(this.#root, 'training', this.record.file.deleted.trainings)
      const { name: baseName, digest, shape } = this.record.file.model
      const created = await Training.create(
        folder,
        {
          name: name ?? unusedName('Training', this.#trainings.values()),
          settings: { ...settings, runs },
          starts: runs.map((run) => {
            const { name: runName, method } = this.runs.summary(run)
            return { run, name: runName, method }
          }),
          base: { name: baseName, digest, shape },
        },
        this.#listener,
      )
      this.#trainings.set(created.id, created)
      return created
    })
    try {
      await this.#begin(training)
    } catch (error) {
      this.#trainings.delete(training.id)
      await removeFolder(training.folder)
      throw error
    }
    return this.summary(training.id)
  }

  /**
   * Goes on with a training, and before it with the growths that it waits for.
   *
   * @throws AppError `bad_request` when there is nothing to go on with, `not_found` for a start that is not there.
   */
  async resume(id: string): Promise<TrainingSummary> {
    const training = this.get(id)
    const { state, settings } = training.file
    if (!isStopped(state)) {
      throw new AppError('bad_request', `${training.name} has not been stopped.`, {
        context: { actual: state },
      })
    }
    if (!this.summary(id).isOfThisModel) {
      throw new AppError('bad_request', `${training.name} was begun with another base model.`, {
        hint: 'Start it again: it becomes a new training.',
      })
    }
    const stopped = settings.runs.filter((run) => isStopped(this.runs.summary(run).state))
    this.#areGrown(settings.runs.filter((run) => !stopped.includes(run)))
    for (const run of stopped) await this.runs.resume(run)
    await this.#begin(training)
    return this.summary(id)
  }

  async rename(id: string, name: string): Promise<void> {
    await this.get(id).rename(name)
    this.record.changed()
  }

  /** Removes a training with its curves and all that it could go on from; the runs that it has made stay. */
  async delete(id: string): Promise<void> {
    await this.get(id).remove()
    this.#trainings.delete(id)
    const { deleted } = this.record.file
    await this.record.change({
      deleted: { ...deleted, trainings: Math.max(deleted.trainings, numberOf(id)) },
    })
  }

  /** Removes what stopped trainings could go on from; no job of the project may be open. */
  async clearWork(): Promise<void> {
    for (const training of this.#trainings.values()) {
      if (isStopped(training.file.state)) await training.clear()
    }
    this.record.changed()
  }

  /** Resolves when everything is on the disk. */
  async settle(): Promise<void> {
    for (const training of this.#trainings.values()) await training.settle()
    await this.#serial.idle()
  }

  get #root(): string {
    return projectPaths.trainings(this.record.folder)
  }

  #checkRuns({ runs, repeats }: TrainingSettings, others: number): void {
    const count = (runs.length + others) * repeats
    if (count === 0 || count > MAX_RACERS) {
      const [expected, actual] = [`1 to ${MAX_RACERS} models, repeats counted`, String(count)]
      throw new AppError('bad_request', `A training has ${expected}, not ${count}.`, {
        context: { field: 'runs', expected, actual },
      })
    }
    const twice = runs.find((run, index) => runs.indexOf(run) !== index)
    if (twice !== undefined) {
      throw new AppError('bad_request', `${this.runs.get(twice).name} is named twice.`, {
        hint: 'Ask for repeats to train it with several seeds.',
        context: { field: 'runs', expected: 'each run once', actual: twice },
      })
    }
    const stopped = runs.map((id) => this.runs.summary(id)).find(({ state }) => isStopped(state))
    if (stopped) {
      throw new AppError('bad_request', `${stopped.name} has not been grown.`, {
        hint: `Go on with ${stopped.name} first.`,
        context: { field: 'runs', actual: stopped.id },
      })
    }
    this.#areGrown(runs)
  }

  /**
   * Whether all runs are grown.
   *
   * @throws AppError `not_found` when one of them is not there and will not be, `bad_request` for one of another base.
   */
  #areGrown(runs: readonly string[]): boolean {
    const summaries = runs.map((id) => this.runs.summary(id))
    for (const { id, name, state, model, error, isOfThisModel } of summaries) {
      const context = { field: 'runs', actual: id }
      if (!isOfThisModel) {
        throw new AppError('bad_request', `${name} was grown from another base model.`, { context })
      }
      if (isStopped(state)) {
        const why = error ? `: ${error.message}` : '.'
        throw new AppError(
          'not_found',
          `A start is missing. ${name} ${ENDS[state] ?? state}${why}`,
          {
            hint: `Go on with the training: ${name} is grown first.`,
            context,
          },
        )
      }
      if (state === 'succeeded' && !model) {
        throw new AppError(
          'not_found',
          `A start is missing. The grown model of ${name} is not on the disk.`,
          { hint: 'Run it again: the new run will have it.', context },
        )
      }
    }
    return summaries.every(({ state }) => state === 'succeeded')
  }

  async #checkTexts({ texts, evalText, forgettingText }: TrainingSettings): Promise<void> {
    for (const text of [...texts, evalText, forgettingText]) {
      if (text === undefined) continue
      const file = 'text' in text ? (await fileOfText(this.record, text.text)).path : text.path
      await stat(file).catch((cause: unknown) => {
        throw new AppError('not_found', `${file} does not exist.`, {
          context: { file, field: 'texts' },
          cause,
        })
      })
    }
  }

  async #begin(training: Training): Promise<void> {
    const { folder, file } = training
    const { path } = await this.base.ready()
    const { memoryLimitBytes } = await this.services.settings()
    const { texts, evalText, forgettingText } = file.settings
    const files = new Map<string, string>()
    for (const text of [...texts, evalText, forgettingText]) {
      if (text && 'text' in text) {
        files.set(text.text, await ownText(this.record, trainingPaths.texts(folder), text.text))
      }
    }
    await mkdir(trainingPaths.models(folder), { recursive: true })
    const spec = this.#specIn(folder, file.settings, {
      base: path,
      modelOf: (run) => this.#modelPath(run),
      textOf: (text) => ('text' in text ? (files.get(text.text) ?? '') : text.path),
      memoryLimitBytes,
    })
    await training.begin(await this.services.engine.versions())
    this.services.jobs.start(spec, {
      owner: {
        project: this.record.id,
        training: training.id,
        name: `${training.name}, ${this.record.file.name}`,
      },
      observer: training.observer(),
      mayBegin: () => this.#areGrown(file.settings.runs),
    })
  }

  #modelPath(run: string): string {
    return this.runs.has(run)
      ? this.runs.get(run).modelPath
      : runPaths.model(projectPaths.run(this.record.folder, run))
  }

  #specIn(
    folder: string,
    { runs, texts, evalText, forgettingText, ...settings }: TrainingSettings,
    places: {
      readonly base: string
      readonly modelOf: (run: string) => string
      readonly textOf: (text: TrainingText) => string
      /** The person's, where the settings have none of their own. */
      readonly memoryLimitBytes?: number | null
    },
  ): PretrainSpec {
    const { base, modelOf, textOf, memoryLimitBytes = null } = places
    const [first = '', ...others] = runs
    const models = trainingPaths.models(folder)
    return {
      kind: 'pretrain',
      models: runs.map((run) => ({ path: modelOf(run), name: run })),
      base,
      texts: texts.map(textOf),
      ...(evalText === undefined ? {} : { evalText: textOf(evalText) }),
      ...(forgettingText === undefined ? {} : { forgettingText: textOf(forgettingText) }),
      ...(memoryLimitBytes === null ? {} : { memoryBytes: memoryLimitBytes }),
      ...settings,
      job: trainingPaths.work(folder),
      out: others.length > 0 ? models : join(models, first),
      // Nothing but an earlier attempt's checkpoints can be there.
      overwrite: true,
    }
  }

  async #onEnd(training: Training): Promise<void> {
    // It may have failed because the base is not where it was.
    if (training.file.state === 'failed') await this.base.refresh()
    await this.#makeRuns(training)
    this.record.changed()
  }

  /** Makes a run of each model that a training has left, and then removes what the training needed. */
  async #makeRuns(training: Training): Promise<void> {
    const { folder, file } = training
    const { work, models, texts, runs } = trainingPaths
    if (file.state !== 'succeeded' || !file.result) return
    const left = await Promise.all([work, models, texts, runs].map((of) => exists(of(folder))))
    if (!left.includes(true)) return
    let isDone = true
    for (const { run, out, seconds } of file.result.starts) {
      if (out === null) continue
      // Wherever the folder was then.
      const checkpoint = join(models(folder), run)
      try {
        const prepared = await prepareTrainedRun(training, {
          run,
          checkpoint,
          seconds,
          from: () => this.runs.get(run),
          nameOf: (name) => this.runs.unusedName(name),
        })
        if (prepared) await this.runs.adopt(prepared.folder, prepared.method)
      } catch (error) {
        isDone = false
        this.record.report(error)
      }
    }
    if (isDone) await training.clear()
  }
}

/** How a run ended that is not there to be trained. */
const ENDS: Readonly<Partial<Record<RunSummary['state'], string>>> = {
  failed: 'could not be grown',
  cancelled: 'was cancelled before it was grown',
  paused: 'was paused before it was grown',
  interrupted: 'was interrupted before it was grown',
}
