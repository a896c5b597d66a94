import { readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AppError } from '@shared/errors'
import { isStopped, pathsOf, type DescentResult, type ExpandSpec } from '@shared/jobs'
import { fitsText, METHOD_NAMES } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import type { RunDetail, RunElsewhere, RunSettings, RunSummary, TextPlace } from '@shared/projects'
import { exists, removeFolder, renameRetrying, syncFolder, writeJsonAtomic } from '@system/files'
import { isWithin } from '@system/paths'
import { Serial } from '../storage/Serial'
import type { BaseModel } from './BaseModel'
import { projectPaths, runPaths } from './layout'
import { newFolder, numberOf, placeForFolder, unusedName } from './numbering'
import { fileOfText, ownText, textPath } from './ownText'
import type { ProjectRecord } from './ProjectRecord'
import { Run, type RunListener } from './Run'
import type { RunFile } from './schemas'
import type { PartServices } from './services'
import { keepPictures } from './trainedRun'
import { trimWork, workBytes } from './work'

/** A project's runs, from their start to their removal, and the work that they leave for later ones. */
export class RunBook {
  readonly #runs = new Map<string, Run>()
  readonly #serial = new Serial()
  readonly #listener: RunListener
  #workBytes = 0

  constructor(
    private readonly record: ProjectRecord,
    private readonly base: BaseModel,
    private readonly services: PartServices,
  ) {
    this.#listener = {
      onChange: () => record.changed(),
      onEnd: (run) => this.#onEnd(run),
      onProblem: (error) => record.report(error),
    }
  }

  /** Reads what is in the folder; runs that cannot be read become problems. */
  async load(): Promise<void> {
    const root = projectPaths.runs(this.record.folder)
    const entries = await readdir(root, { withFileTypes: true }).catch(() => [])
    const names = entries
      .filter((entry) => entry.isDirectory() && /^\d{3,6}-[a-z-]{1,32}$/.test(entry.name))
      .map(({ name }) => name)
      .sort()
    for (const name of names) {
      const loaded = await Run.load(join(root, name), this.#listener)
      if (loaded.state === 'ok') this.#runs.set(loaded.run.id, loaded.run)
      else {
        const { setAside, message } = loaded
        this.record.problems.push({ file: `runs/${name}`, setAside, message })
      }
    }
    this.#workBytes = await workBytes(this.#work)
    await this.refresh()
    for (const run of this.#runs.values()) await this.#analyse(run)
  }

  /** Looks again whether the folders of models that were trained elsewhere are what they were. */
  async refresh(): Promise<void> {
    let isOther = false
    for (const run of this.#runs.values()) {
      if (await run.checkElsewhere((path) => this.services.engine.identify(path))) isOther = true
    }
    if (isOther) this.record.changed()
  }

  has(id: string): boolean {
    return this.#runs.has(id)
  }

  /** @throws AppError `not_found`. */
  get(id: string): Run {
    const run = this.#runs.get(id)
    if (run) return run
    throw new AppError('not_found', `The project has no run ${id}.`)
  }

  /** Newest first. */
  summaries(): RunSummary[] {
    return [...this.#runs.values()]
      .map((run) => run.summary(this.record.file.model))
      .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
  }

  /** The run that a training has made of another; `null` when there is none, or none any more. */
  trainedFrom(training: string, run: string): string | null {
    const found = [...this.#runs.values()].find(
      ({ file }) => file.training?.training === training && file.training.run === run,
    )
    return found?.id ?? null
  }

  summary(id: string): RunSummary {
    return this.get(id).summary(this.record.file.model)
  }

  detail(id: string): Promise<RunDetail> {
    return this.get(id).detail(this.record.file.model, this.specOf(this.get(id)))
  }

  /** How many layers the model had when the first run was made. */
  get layersBefore(): number | undefined {
    const [first] = this.#runs.values()
    return first?.file.layersBefore
  }

  /** Bytes that are kept for later runs. */
  get workBytes(): number {
    return this.#workBytes
  }

  /**
   * Makes a run and queues its job.
   *
   * @throws AppError `model_missing`, `bad_request` for a plan that does not fit the model or lacks the text that it
   * needs, `not_found` for a text that is not there.
   */
  async start(settings: RunSettings, name: string | undefined): Promise<RunSummary> {
    const { summary } = await this.base.ready()
    const plan = planExpansion(settings.method, summary.num_hidden_layers, summary.layer_types)
    await this.#checkTexts(settings)
    const run = await this.#serial.run(async () => {
      const folder = await newFolder(this.#root, settings.method.name, this.#deleted)
      const { name: baseName, digest, shape } = this.record.file.model
      return Run.create(
        folder,
        {
          name: name ?? this.unusedName(METHOD_NAMES[settings.method.name]),
          settings,
          plan,
          layersBefore: summary.num_hidden_layers,
          base: { name: baseName, digest, shape },
        },
        this.#listener,
      )
    })
    this.#runs.set(run.id, run)
    try {
      await this.#begin(run)
    } catch (error) {
      this.#runs.delete(run.id)
      await removeFolder(run.folder)
      throw error
    }
    return this.summary(run.id)
  }

  /** @throws AppError `bad_request` when there is nothing to go on with. */
  async resume(id: string): Promise<RunSummary> {
    const run = this.get(id)
    if (!isStopped(run.file.state)) {
      throw new AppError('bad_request', `${run.name} has not been stopped.`, {
        context: { actual: run.file.state },
      })
    }
    this.#refuseOtherModel(run)
    await this.#begin(run)
    return this.summary(id)
  }

  /**
   * Runs the same once more. A run that was stopped goes on; one that has ended well, or was made from another model,
   * keeps its record, its model and its measurements, and a new one is made.
   *
   * @throws AppError `bad_request` while its job is open, or for one that a training has made.
   */
  async retry(id: string): Promise<RunSummary> {
    const run = this.#closed(id)
    if (run.file.training ?? run.file.elsewhere) {
      throw new AppError('bad_request', `${run.name} was trained, which growing does not repeat.`, {
        hint: 'Train the run again that it comes from.',
      })
    }
    if (run.file.state === 'succeeded' || !this.summary(id).isOfThisModel) {
      return this.start(run.file.settings, this.unusedName(run.name.replace(/ \d+$/, '')))
    }
    await this.#begin(run)
    return this.summary(id)
  }

  async rename(id: string, name: string): Promise<void> {
    await this.get(id).rename(name)
    this.record.changed()
  }

  /** Removes a run with everything it made and everything that was measured of it. */
  async delete(id: string): Promise<void> {
    await this.#closed(id).remove()
    this.#runs.delete(id)
    const { perplexities, deleted } = this.record.file
    await this.record.change({
      perplexities: perplexities.filter(({ subject }) => subject !== id),
      deleted: { ...deleted, runs: Math.max(deleted.runs, numberOf(id)) },
    })
  }

  /**
   * Makes a run of a folder that holds one: it is moved among the runs.
   *
   * @returns Its id.
   */
  async adopt(folder: string, method: string): Promise<string> {
    const run = await this.#serial.run(async () => {
      const place = await placeForFolder(this.#root, method, this.#deleted)
      await renameRetrying(folder, place)
      await syncFolder(this.#root)
      const loaded = await Run.load(place, this.#listener)
      if (loaded.state === 'ok') return loaded.run
      throw new AppError('damaged_file', loaded.message, { context: { file: place } })
    })
    this.#runs.set(run.id, run)
    this.record.changed()
    await this.#analyse(run)
    return run.id
  }

  /**
   * Makes a run of a checkpoint that lies in a folder of its own, and stays there.
   *
   * @param descent What its training changed.
   * @returns Its id.
   */
  async addElsewhere(file: Omit<RunFile, 'id'>, descent: DescentResult): Promise<string> {
    const run = await this.#serial.run(async () => {
      const place = await newFolder(this.#root, file.settings.method.name, this.#deleted)
      try {
        await writeJsonAtomic(runPaths.descent(place), descent)
        await this.#keepPictures(file.elsewhere?.run, place)
        await writeJsonAtomic(runPaths.file(place), { ...file, id: basename(place) })
        const loaded = await Run.load(place, this.#listener)
        if (loaded.state === 'ok') return loaded.run
        throw new AppError('damaged_file', loaded.message, { context: { file: place } })
      } catch (error) {
        await removeFolder(place)
        throw error
      }
    })
    this.#runs.set(run.id, run)
    this.record.changed()
    await this.#analyse(run)
    return run.id
  }

  /** What a run's model was before it was trained: only what moves is measured anew. */
  async #keepPictures(start: string | undefined, place: string): Promise<void> {
    const from = start === undefined ? undefined : this.#runs.get(start)
    if (from) await keepPictures(from.folder, place)
  }

  /** `LESA`, or `LESA 2` and so on when that is taken. */
  unusedName(wanted: string): string {
    return unusedName(wanted, this.#runs.values())
  }

  async deleteModel(id: string): Promise<void> {
    await this.#closed(id).deleteModel()
    this.record.changed()
  }

  /** Where the checkpoint of a run is. @throws AppError `not_found` when it is not on the disk. */
  modelOf(id: string): string {
    const { name, model, elsewhere } = this.summary(id)
    if (model) return model.path
    if (elsewhere) throw notAsItWas(name, elsewhere)
    throw new AppError('not_found', `The grown model of ${name} is not on the disk.`, {
      hint: 'Run it again: the new run will have it.',
      context: { file: runPaths.model(this.get(id).folder) },
    })
  }

  /** The job that made a run, without what only this machine says of it. */
  specOf({ folder, file }: Run): ExpandSpec {
    return this.#specIn(folder, file.settings, { base: this.base.state.path })
  }

  /** The job that a run of these settings would be, for an estimate. @throws AppError `model_missing`. */
  async specFor(settings: RunSettings): Promise<ExpandSpec> {
    const { path: base } = await this.base.ready()
    const { memoryLimitBytes } = await this.services.settings()
    const folder = projectPaths.run(this.record.folder, 'next')
    return this.#specIn(folder, settings, { base, memoryLimitBytes })
  }

  /** Removes what is kept for later runs; no job of the project may be open. */
  async clearWork(): Promise<void> {
    this.#workBytes = await trimWork(this.#work, 0)
    this.record.changed()
  }

  /** Resolves when everything is on the disk. */
  async settle(): Promise<void> {
    for (const run of this.#runs.values()) await run.settle()
    await this.#serial.idle()
  }

  get #root(): string {
    return projectPaths.runs(this.record.folder)
  }

  /** No run made from now on has this number, or a lower one. */
  get #deleted(): number {
    return this.record.file.deleted.runs
  }

  get #work(): string {
    return projectPaths.work(this.record.folder)
  }

  /** A run that no job makes or reads. @throws AppError `not_found`, `bad_request`. */
  #closed(id: string): Run {
    const run = this.get(id)
    const isBusy = this.services.jobs
      .list()
      .some(
        ({ owner, spec, endedAt }) =>
          endedAt === undefined &&
          owner?.project === this.record.id &&
          (owner.run === run.id ||
            pathsOf(spec, 'reads').some(
              (path) => isWithin(path, run.folder) || isWithin(path, run.modelPath),
            )),
      )
    if (!isBusy && !run.isOpen) return run
    throw new AppError('bad_request', `${run.name} has a job that waits or runs.`, {
      hint: 'Cancel it, or wait until it has ended.',
    })
  }

  /**
   * @throws AppError `bad_request` for a plan that does not fit the model or lacks the text that it needs, `not_found` for a
   * text that is not there.
   */
  async check(settings: RunSettings): Promise<void> {
    const { summary } = await this.base.ready()
    planExpansion(settings.method, summary.num_hidden_layers, summary.layer_types)
    await this.#checkTexts(settings)
  }

  async #checkTexts(settings: RunSettings): Promise<void> {
    const { method, calibration, damp } = settings
    if (!calibration && (fitsText(method.name) || damp === 'auto')) {
      const what = damp === 'auto' ? 'A factor is chosen' : `${METHOD_NAMES[method.name]} is fitted`
      throw new AppError('bad_request', `${what} on a text, and none is chosen.`, {
        hint: 'Choose a text of the kind that the model is to learn.',
        context: { field: 'calibration' },
      })
    }
    for (const text of textsOf(settings)) {
      const file = 'text' in text ? (await fileOfText(this.record, text.text)).path : text.path
      if (await exists(file)) continue
      throw new AppError('not_found', `${file} does not exist.`, {
        context: { file, field: 'calibration' },
      })
    }
  }

  #refuseOtherModel({ id, name }: Run): void {
    if (this.summary(id).isOfThisModel) return
    throw new AppError('bad_request', `${name} was begun from another base model.`, {
      hint: 'Start it again: it becomes a new run.',
    })
  }

  async #begin(run: Run): Promise<void> {
    const { folder, file } = run
    const { path: base } = await this.base.ready()
    const { memoryLimitBytes } = await this.services.settings()
    const files = new Map<string, string>()
    for (const text of textsOf(file.settings)) {
      if ('text' in text) {
        files.set(text.text, await ownText(this.record, runPaths.texts(folder), text.text))
      }
    }
    const spec = this.#specIn(folder, file.settings, {
      base,
      memoryLimitBytes,
      textOf: (text) => ('text' in text ? (files.get(text.text) ?? '') : text.path),
    })
    await run.begin(await this.services.engine.versions())
    // Recipes go with a model that leaves the project.
    this.services.jobs.start(
      { ...spec, recipes: false },
      {
        owner: {
          project: this.record.id,
          run: run.id,
          name: `${run.name}, ${this.record.file.name}`,
        },
        workDir: this.#work,
        recordDir: run.folder,
        observer: run.observer(),
      },
    )
  }

  #specIn(
    folder: string,
    { calibration, ...settings }: RunSettings,
    places: {
      readonly base: string
      /** By default where the texts are that no job reads yet. */
      readonly textOf?: (text: TextPlace) => string
      readonly memoryLimitBytes?: number | null
    },
  ): ExpandSpec {
    const { base, textOf = (text) => textPath(this.record, text), memoryLimitBytes = null } = places
    return {
      kind: 'expand',
      model: base,
      out: runPaths.model(folder),
      // Nothing but an earlier attempt's checkpoint can be there.
      overwrite: true,
      ...settings,
      ...(calibration === undefined
        ? {}
        : {
            calibration: {
              ...calibration,
              text: textOf(calibration.text),
              oldText: calibration.oldText && textOf(calibration.oldText),
            },
          }),
      ...(memoryLimitBytes === null ? {} : { memoryBytes: memoryLimitBytes }),
    }
  }

  /**
   * Queues the analysis of a trained model whose pictures are still those of the model before: norms and resemblances of
   * the layers that moved are others now.
   */
  async #analyse(run: Run): Promise<void> {
    const before = runPaths.earlierAnalysis(run.folder)
    if (!this.summary(run.id).model || !(await exists(before))) return
    const model = run.modelPath
    this.services.jobs.start(
      { kind: 'analyse', model, before },
      {
        owner: { project: this.record.id, run: run.id, name: run.name },
        recordDir: run.folder,
        observer: {
          onState: ({ state }) => {
            if (state !== 'succeeded') return
            void rm(before, { force: true })
              .then(() => run.lookAgain())
              .catch((error: unknown) => this.record.report(error))
          },
        },
      },
    )
  }

  async #onEnd(run: Run): Promise<void> {
    // It may have failed because the model is not where it was.
    if (run.file.state === 'failed') await this.base.refresh()
    const { workLimitBytes } = await this.services.settings()
    // Another run may be at work in it; a stopped one goes on from it.
    const hasOpen = [...this.#runs.values()].some(({ isOpen }) => isOpen)
    const isFinal = run.file.state === 'succeeded' && !hasOpen
    this.#workBytes = await (isFinal ? trimWork(this.#work, workLimitBytes) : workBytes(this.#work))
    this.record.changed()
  }
}

/** Why a checkpoint that was trained elsewhere cannot be used. */
function notAsItWas(name: string, { path, state }: RunElsewhere): AppError {
  return state === 'changed'
    ? new AppError('model_missing', `The folder of ${name} holds other weights than it did.`, {
        hint: 'Remove the run, and add the checkpoint again as it is now.',
        context: { file: path, expected: 'the weights that were compared with the start' },
      })
    : new AppError('model_missing', `The checkpoint of ${name} is not where it was.`, {
        hint: 'Put the folder back, or remove the run and add the checkpoint from where it is now.',
        context: { file: path },
      })
}

/** What a growth reads beside the model. */
function textsOf({ calibration }: RunSettings): TextPlace[] {
  if (!calibration) return []
  const { text, oldText } = calibration
  return oldText ? [text, oldText] : [text]
}
