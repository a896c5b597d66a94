import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { EngineVersions } from '@shared/engineProtocol'
import { AppError, toAppError, type AppErrorData } from '@shared/errors'
import type { ExportOptions } from '@shared/exports'
import type {
  EvaluateSpec,
  ExpandSpec,
  ExportSpec,
  JobSnapshot,
  PerplexityResult,
} from '@shared/jobs'
import { METHOD_NAMES } from '@shared/methods'
import type { ModelIdentity, ModelSummary } from '@shared/model'
import { planExpansion } from '@shared/plan'
import {
  DEFAULT_DRAFT,
  type Comparison,
  type EvaluationRequest,
  type Perplexity,
  type ProjectId,
  type ProjectModel,
  type ProjectPatch,
  type ProjectProblem,
  type ProjectText,
  type ProjectView,
  type Relocation,
  type RunSettings,
  type RunSummary,
} from '@shared/projects'
import type { Settings } from '@shared/settings'
import type { JobManager } from '../jobs/JobManager'
import { exists, writeFileAtomic, writeJsonAtomic } from '@system/files'
import { harmOf, refuseHarm, type Kept } from '@system/harm'
import { readStored, setAside } from '../storage/stored'
import { Serial } from '../storage/Serial'
import { compareRuns } from './compare'
import { projectFileSchema, salvageProject, SCHEMA_VERSION, type ProjectFile } from './schemas'
import { PROJECT_FILE, projectPaths, runPaths } from './layout'
import { resolveModelPath, storedModelPath } from './modelPath'
import { Run, type Beginning, type RunListener } from './Run'
import { trimWork, workBytes } from './work'

/** Longer than any text that perplexity is sensibly measured on. */
const MAX_TEXT_BYTES = 256e6

/** Where neither the person nor the model says; the engine's own default. */
const DEFAULT_CONTEXT = 2048

/** What a project needs of the rest of the program. */
export interface ProjectServices {
  readonly engine: {
    inspect(path: string): Promise<ModelSummary>
    identify(path: string): Promise<ModelIdentity>
    versions(): Promise<EngineVersions>
  }
  readonly jobs: JobManager
  readonly settings: () => Promise<Settings>
  /** Something that the window shows has changed. */
  readonly onChange: (project: Project) => void
}

/** Opaque and the same for the same folder. @param folder Absolute, links resolved. */
export function projectIdOf(folder: string): ProjectId {
  return createHash('sha256').update(folder).digest('hex').slice(0, 16)
}

/** An open project: its file, its runs, and the jobs it has started. */
export class Project {
  readonly id: ProjectId
  #file: ProjectFile
  #model: ProjectModel
  readonly #runs = new Map<string, Run>()
  readonly #problems: ProjectProblem[] = []
  readonly #missingTexts = new Set<string>()
  #workBytes = 0
  readonly #serial = new Serial()
  readonly #listener: RunListener

  private constructor(
    /** Absolute, links resolved. */
    readonly folder: string,
    file: ProjectFile,
    private readonly services: ProjectServices,
  ) {
    this.id = projectIdOf(folder)
    this.#file = file
    this.#model = { state: 'missing', path: file.model.path, name: file.model.name }
    this.#listener = {
      onChange: () => services.onChange(this),
      onEnd: (run) => this.#onRunEnd(run),
      onProblem: (error) => this.#report(error),
    }
  }

  /**
   * Makes a project in an empty folder of its own.
   *
   * @throws AppError what opening the model throws, or writing the folder.
   */
  static async create(
    folder: string,
    options: { readonly name: string; readonly model: string },
    services: ProjectServices,
  ): Promise<Project> {
    const { digest, shape } = await services.engine.identify(options.model)
    const { device } = await services.settings()
    const project = new Project(
      folder,
      {
        schema_version: SCHEMA_VERSION,
        name: options.name,
        notes: '',
        createdAt: Date.now(),
        model: {
          path: storedModelPath(folder, options.model),
          name: basename(options.model),
          digest,
          shape,
        },
        draft: { ...DEFAULT_DRAFT, device },
        texts: [],
        perplexities: [],
      },
      services,
    )
    await project.#write()
    await project.checkModel()
    return project
  }

  /**
   * Opens a project's folder. A damaged project file is set aside and what can be is saved of it; runs that cannot be
   * read are reported.
   *
   * @throws AppError `not_found`, `unsupported_version`, or what the system says.
   */
  static async open(folder: string, services: ProjectServices): Promise<Project> {
    const path = projectPaths.file(folder)
    const stored = await readStored(path, projectFileSchema, SCHEMA_VERSION)
    let problem: ProjectProblem | null = null
    let file: ProjectFile
    switch (stored.state) {
      case 'absent':
        throw new AppError('not_found', `${folder} is not a project.`, {
          hint: `A project's folder holds ${PROJECT_FILE}.`,
          context: { file: path },
        })
      case 'newer':
        throw new AppError(
          'unsupported_version',
          'The project was made by a newer version of the program.',
          {
            hint: 'Update the program to open it. Nothing was changed.',
            context: {
              file: path,
              expected: `version ${SCHEMA_VERSION}`,
              actual: `version ${stored.version}`,
            },
          },
        )
      case 'damaged': {
        const aside = await setAside(path)
        file = salvageProject(stored.json, basename(folder).slice(0, 100), Date.now())
        problem = {
          file: PROJECT_FILE,
          setAside: aside,
          message:
            `The project's file is damaged (${stored.reason}) and was set aside as ${aside}. What could be read of it ` +
            'and all runs are here; check the model, the notes and the plan.',
        }
        break
      }
      case 'ok':
        file = stored.value
    }
    const project = new Project(folder, file, services)
    if (problem) {
      project.#problems.push(problem)
      await project.#write()
    }
    await project.#loadRuns()
    await project.#findTexts()
    project.#workBytes = await workBytes(projectPaths.work(folder))
    await project.checkModel()
    return project
  }

  get name(): string {
    return this.#file.name
  }

  get model(): ProjectModel {
    return this.#model
  }

  /** Whether a run, an evaluation or an export of it waits or runs. */
  get isBusy(): boolean {
    return this.services.jobs
      .list()
      .some(({ owner, endedAt }) => owner?.project === this.id && endedAt === undefined)
  }

  view(): ProjectView {
    const { name, notes, createdAt, draft, perplexities } = this.#file
    return {
      id: this.id,
      path: this.folder,
      name,
      notes,
      createdAt,
      model: this.#model,
      draft,
      texts: this.#texts(),
      runs: this.#summaries(),
      perplexities: perplexities.filter(
        ({ subject }) => subject === 'base' || this.#runs.has(subject),
      ),
      workBytes: this.#workBytes,
      problems: [...this.#problems],
    }
  }

  async update(patch: ProjectPatch): Promise<void> {
    const { notes = this.#file.notes, draft = this.#file.draft } = patch
    await this.#change({ notes, draft })
  }

  rename(name: string): Promise<void> {
    return this.#change({ name })
  }

  // ---- the model ----------------------------------------------------------------------------------------------

  /** Looks whether the model is where it should be, and is the one it should be. */
  async checkModel(): Promise<void> {
    const { path: stored, name, digest } = this.#file.model
    const path = resolveModelPath(this.folder, stored)
    if (path === null) {
      this.#model = { state: 'missing', path: stored, name }
      return
    }
    try {
      const summary = await this.services.engine.inspect(path)
      const found = await this.services.engine.identify(path)
      const state = found.digest === digest ? 'ready' : 'changed'
      this.#model = { state, path, name, summary }
    } catch (thrown) {
      const error = toAppError(thrown)
      this.#model =
        error.code === 'not_found'
          ? { state: 'missing', path, name }
          : { state: 'broken', path, name, error: withoutStack(error) }
    }
  }

  /**
   * Takes the model from another place.
   *
   * @throws AppError what opening it throws.
   */
  async relocateModel(path: string, acceptDifferent: boolean): Promise<Relocation> {
    const { engine } = this.services
    const [summary, identity] = [await engine.inspect(path), await engine.identify(path)]
    const { digest, shape } = this.#file.model
    const isCompatible = shape === null || shape === identity.shape
    const isSame = digest === null || digest === identity.digest
    if (!isSame && (!isCompatible || !acceptDifferent)) {
      return {
        outcome: 'different',
        isCompatible,
        differences: isCompatible
          ? [
              'It has the same shape, but other weights: it is another model, or was trained further.',
            ]
          : this.#shapeDifferences(summary),
      }
    }
    await this.#change({
      model: { path: storedModelPath(this.folder, path), name: basename(path), ...identity },
      // What was measured on the old model does not hold for another one.
      ...(isSame
        ? {}
        : { perplexities: this.#file.perplexities.filter(({ subject }) => subject !== 'base') }),
    })
    await this.checkModel()
    this.services.onChange(this)
    return { outcome: 'relocated', project: this.view() }
  }

  #shapeDifferences(found: ModelSummary): string[] {
    const [run] = this.#runs.values()
    const layers = run?.file.layersBefore
    return [
      `It is ${found.architecture} with ${found.num_hidden_layers} layers of width ${found.hidden_size}.`,
      layers !== undefined && layers !== found.num_hidden_layers
        ? `The project's model has ${layers} layers.`
        : "Its tensors do not have the names and shapes of the project's model.",
    ]
  }

  /** @throws AppError `model_missing` when the model is not there, or another one is. */
  #readyModel(): Extract<ProjectModel, { state: 'ready' }> {
    const model = this.#model
    if (model.state === 'ready') return model
    const what = {
      missing: 'is not where it was',
      changed: 'has been replaced by another one',
      broken: 'cannot be read',
    }[model.state]
    throw new AppError('model_missing', `The project's model ${what}.`, {
      hint: 'Say where it is now.',
      context: { file: model.path },
    })
  }

  // ---- runs ---------------------------------------------------------------------------------------------------

  /** @throws AppError `not_found`. */
  run(id: string): Run {
    const run = this.#runs.get(id)
    if (run) return run
    throw new AppError('not_found', `The project has no run ${id}.`)
  }

  summary(id: string): RunSummary {
    return this.run(id).summary(this.#file.model)
  }

  detail(id: string): ReturnType<Run['detail']> {
    const run = this.run(id)
    return run.detail(this.#file.model, this.#specOf(run.folder, run.file.settings, null))
  }

  /**
   * Makes a run and queues its job.
   *
   * @throws AppError `model_missing`, `bad_request` for a plan that does not fit the model.
   */
  async startRun(settings: RunSettings, name: string | undefined): Promise<RunSummary> {
    const { summary } = this.#readyModel()
    const plan = planExpansion(settings.method, summary.num_hidden_layers)
    const run = await this.#serial.run(async () => {
      const folder = await this.#newRunFolder(settings.method.name)
      const { name: baseName, digest, shape } = this.#file.model
      return Run.create(
        folder,
        {
          name: name ?? this.#nameFor(settings),
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
      await this.#begin(run, 'first')
    } catch (error) {
      this.#runs.delete(run.id)
      await rm(run.folder, { recursive: true, force: true })
      throw error
    }
    return this.summary(run.id)
  }

  /** @throws AppError `bad_request` when there is nothing to go on with. */
  async resumeRun(id: string): Promise<RunSummary> {
    const run = this.run(id)
    if (!['failed', 'cancelled', 'interrupted'].includes(run.file.state)) {
      throw new AppError('bad_request', `${run.name} has not been stopped.`, {
        context: { actual: run.file.state },
      })
    }
    await this.#begin(run, 'resume')
    return this.summary(id)
  }

  /** @throws AppError `bad_request` while its job is open. */
  async retryRun(id: string): Promise<RunSummary> {
    const run = this.run(id)
    this.#refuseOpen(run)
    await this.#begin(run, 'retry')
    return this.summary(id)
  }

  async renameRun(id: string, name: string): Promise<void> {
    await this.run(id).rename(name)
    this.services.onChange(this)
  }

  /** Removes a run with everything it made and everything that was measured of it. */
  async deleteRun(id: string): Promise<void> {
    const run = this.run(id)
    this.#refuseOpen(run)
    await run.remove()
    this.#runs.delete(id)
    await this.#forgetPerplexities(({ subject }) => subject === id)
  }

  async deleteRunModel(id: string): Promise<void> {
    const run = this.run(id)
    this.#refuseOpen(run)
    await run.deleteModel()
    this.services.onChange(this)
  }

  #refuseOpen(run: Run): void {
    const busy = this.services.jobs
      .list()
      .some(
        ({ owner, spec, endedAt }) =>
          endedAt === undefined &&
          owner?.project === this.id &&
          (owner.run === run.id ||
            (spec.kind === 'evaluate' && spec.models.includes(runPaths.model(run.folder)))),
      )
    if (!busy && !run.isOpen) return
    throw new AppError('bad_request', `${run.name} has a job that waits or runs.`, {
      hint: 'Cancel it, or wait until it has ended.',
    })
  }

  async #begin(run: Run, how: Beginning): Promise<void> {
    const { path } = this.#readyModel()
    const { memoryLimitBytes } = await this.services.settings()
    await run.begin(how, await this.services.engine.versions())
    if (how === 'retry') await this.#forgetPerplexities(({ subject }) => subject === run.id)
    this.services.jobs.start(this.#specOf(run.folder, run.file.settings, memoryLimitBytes, path), {
      owner: { project: this.id, run: run.id },
      workDir: projectPaths.work(this.folder),
      recordDir: run.folder,
      observer: run.observer(),
    })
  }

  #specOf(
    folder: string,
    settings: RunSettings,
    memoryLimitBytes: number | null,
    model: string = this.#model.path,
  ): ExpandSpec {
    return {
      kind: 'expand',
      model,
      out: runPaths.model(folder),
      // Nothing but an earlier attempt's checkpoint can be there.
      overwrite: true,
      ...settings,
      ...(memoryLimitBytes === null ? {} : { memoryBytes: memoryLimitBytes }),
    }
  }

  /** The job that a run of these settings would be, for an estimate. @throws AppError `model_missing`. */
  async specFor(settings: RunSettings): Promise<ExpandSpec> {
    const { path } = this.#readyModel()
    const { memoryLimitBytes } = await this.services.settings()
    const folder = projectPaths.run(this.folder, 'next')
    return this.#specOf(folder, settings, memoryLimitBytes, path)
  }

  /** Numbers are never given twice, so that a folder's name means one run. */
  async #newRunFolder(method: string): Promise<string> {
    const runs = projectPaths.runs(this.folder)
    await mkdir(runs, { recursive: true })
    const used = (await readdir(runs)).map((name) => Number(/^(\d+)-/.exec(name)?.[1] ?? 0))
    const number = used.reduce((most, value) => Math.max(most, value), 0) + 1
    const folder = join(runs, `${String(number).padStart(3, '0')}-${method}`)
    await mkdir(folder)
    return folder
  }

  #nameFor({ method }: RunSettings): string {
    const names = new Set([...this.#runs.values()].map(({ name }) => name))
    for (let n = 1; ; n += 1) {
      const name = n === 1 ? METHOD_NAMES[method.name] : `${METHOD_NAMES[method.name]} ${n}`
      if (!names.has(name)) return name
    }
  }

  async #onRunEnd(run: Run): Promise<void> {
    const { workLimitBytes } = await this.services.settings()
    const work = projectPaths.work(this.folder)
    // Another run may be at work in it; a stopped one goes on from it.
    const isFinal = run.file.state === 'succeeded' && !this.#hasOpenRuns()
    this.#workBytes = isFinal ? await trimWork(work, workLimitBytes) : await workBytes(work)
    this.services.onChange(this)
  }

  #hasOpenRuns(): boolean {
    return [...this.#runs.values()].some((run) => run.isOpen)
  }

  /** @throws AppError `bad_request` while a job of the project is open. */
  async clearWork(): Promise<void> {
    this.refuseBusy()
    this.#workBytes = await trimWork(projectPaths.work(this.folder), 0)
    this.services.onChange(this)
  }

  refuseBusy(): void {
    if (!this.isBusy) return
    throw new AppError('bad_request', `A job of ${this.name} waits or runs.`, {
      hint: 'Cancel it, or wait until it has ended.',
    })
  }

  // ---- texts and perplexities ---------------------------------------------------------------------------------

  /** Copies a text into the project. @throws AppError `bad_request` when it is no text or too long. */
  async addText(path: string): Promise<void> {
    const bytes = await readText(path)
    const id = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
    const target = projectPaths.text(this.folder, id)
    await mkdir(projectPaths.texts(this.folder), { recursive: true })
    if (!(await exists(target))) await writeFileAtomic(target, bytes.toString('utf8'))
    this.#missingTexts.delete(id)
    const others = this.#file.texts.filter((text) => text.id !== id)
    const text = { id, name: basename(path), bytes: bytes.byteLength }
    await this.#change({ texts: [...others, text] })
  }

  async removeText(id: string): Promise<void> {
    this.#text(id)
    await rm(projectPaths.text(this.folder, id), { force: true })
    await this.#change({
      texts: this.#file.texts.filter((text) => text.id !== id),
      perplexities: this.#file.perplexities.filter(({ text }) => text !== id),
    })
  }

  /**
   * Queues the measurement of what has not been measured yet.
   *
   * @throws AppError `bad_request` when there is nothing to measure, `not_found`, `model_missing`.
   */
  startEvaluation(request: EvaluationRequest): JobSnapshot {
    const text = this.#text(request.text)
    const model = this.#readyModel()
    const context = request.context ?? defaultContext(model.summary)
    const isKnown = (subject: string): boolean =>
      this.#file.perplexities.some(
        (known) =>
          known.subject === subject &&
          known.text === text.id &&
          known.context === context &&
          known.perLine === request.perLine,
      )
    const subjects = [...new Set(request.subjects)].filter((subject) => !isKnown(subject))
    if (subjects.length === 0) {
      throw new AppError('bad_request', 'All of that has been measured already.', {
        context: { field: 'subjects' },
      })
    }
    const models = subjects.map((subject) =>
      subject === 'base' ? model.path : this.#grownModel(subject),
    )
    const spec: EvaluateSpec = {
      kind: 'evaluate',
      models,
      text: projectPaths.text(this.folder, text.id),
      context,
      perLine: request.perLine,
      device: request.device,
    }
    return this.services.jobs.start(spec, {
      owner: { project: this.id },
      observer: {
        onState: (snapshot) => {
          if (snapshot.result?.kind !== 'evaluate') return
          const device = snapshot.device?.device ?? spec.device
          const measured = snapshot.result.results.map((result, index): Perplexity => ({
            ...measurementOf(result),
            subject: subjects[index] ?? '',
            text: text.id,
            perLine: request.perLine,
            device,
          }))
          void this.#addPerplexities(measured).catch((error: unknown) => this.#report(error))
        },
      },
    })
  }

  compare(subjects: readonly string[] | undefined): Comparison {
    const isWanted = (subject: string): boolean =>
      subjects === undefined || subjects.includes(subject)
    const model = this.#model
    return compareRuns({
      baseName: model.name,
      base: isWanted('base') && 'summary' in model ? model.summary : null,
      runs: this.#summaries().filter(({ id }) => isWanted(id)),
      perplexities: this.#file.perplexities,
      texts: this.#texts(),
    })
  }

  async #addPerplexities(measured: readonly Perplexity[]): Promise<void> {
    const keyOf = ({ subject, text, context, perLine }: Perplexity): string =>
      [subject, text, context, perLine].join('/')
    const replaced = new Set(measured.map(keyOf))
    // A run or a text may have been removed meanwhile.
    const kept = measured.filter(
      ({ subject, text }) =>
        (subject === 'base' || this.#runs.has(subject)) &&
        this.#file.texts.some(({ id }) => id === text),
    )
    const others = this.#file.perplexities.filter((known) => !replaced.has(keyOf(known)))
    await this.#change({ perplexities: [...others, ...kept] })
  }

  async #forgetPerplexities(isForgotten: (perplexity: Perplexity) => boolean): Promise<void> {
    await this.#change({
      perplexities: this.#file.perplexities.filter((each) => !isForgotten(each)),
    })
  }

  // ---- export -------------------------------------------------------------------------------------------------

  /** The job that an export would be. @throws AppError `not_found` when the grown checkpoint is not there. */
  exportSpec(id: string, options: ExportOptions): ExportSpec {
    const run = this.run(id)
    const model = this.#grownModel(id)
    const { result, settings } = run.file
    if (!result) throw new AppError('not_found', `${run.name} has no result.`)
    return {
      kind: 'export',
      model,
      base: this.#model.path,
      ...options,
      grown: { spec: this.#specOf(run.folder, settings, null), result },
      perplexities: this.#file.perplexities
        .filter(({ subject }) => subject === 'base' || subject === id)
        .map((each): PerplexityResult => ({
          model: each.subject === 'base' ? this.#model.name : basename(options.out),
          perplexity: each.perplexity ?? Infinity,
          tokens: each.tokens,
          predicted: each.predicted,
          context: each.context,
          num_hidden_layers: each.subject === 'base' ? run.file.layersBefore : run.file.layersAfter,
          seconds: each.seconds,
        })),
    }
  }

  /** Why an export must not go there: what is in its way would be replaced. `null` when it may. */
  refusesExport(out: string): string | null {
    return harmOf(out, this.#kept)
  }

  /** @throws AppError `path_denied` as {@link refusesExport} says, `not_found`. */
  startExport(id: string, options: ExportOptions): JobSnapshot {
    refuseHarm(options.out, this.#kept)
    const spec = this.exportSpec(id, options)
    const run = this.run(id)
    return this.services.jobs.start(spec, {
      owner: { project: this.id, run: id },
      observer: {
        onState: ({ result }) => {
          if (result?.kind !== 'export') return
          const { out, bytes, checks } = result
          void run
            .addExport({ out, bytes, checks, dtype: spec.dtype, at: Date.now() })
            .then(() => this.services.onChange(this))
            .catch((error: unknown) => this.#report(error))
        },
      },
    })
  }

  get #kept(): Kept[] {
    return [{ path: this.folder, what: 'the project' }]
  }

  #grownModel(id: string): string {
    const { name, model } = this.summary(id)
    if (model) return model.path
    throw new AppError('not_found', `The grown model of ${name} is not on the disk.`, {
      hint: 'Run it again to have it back.',
      context: { file: runPaths.model(this.run(id).folder) },
    })
  }

  // ---- the folder ---------------------------------------------------------------------------------------------

  /** Resolves when everything is on the disk. */
  async settle(): Promise<void> {
    for (const run of this.#runs.values()) await run.settle()
    await this.#serial.idle()
  }

  async #loadRuns(): Promise<void> {
    const root = projectPaths.runs(this.folder)
    const entries = await readdir(root, { withFileTypes: true }).catch(() => [])
    const names = entries
      .filter((entry) => entry.isDirectory() && /^\d{3,6}-[a-z-]{1,32}$/.test(entry.name))
      .map(({ name }) => name)
      .sort()
    for (const name of names) {
      const loaded = await Run.load(join(root, name), this.#listener)
      if (loaded.state === 'ok') this.#runs.set(loaded.run.id, loaded.run)
      else {
        const { setAside: aside, message } = loaded
        this.#problems.push({ file: `runs/${name}`, setAside: aside, message })
      }
    }
  }

  async #findTexts(): Promise<void> {
    for (const { id } of this.#file.texts) {
      if (!(await exists(projectPaths.text(this.folder, id)))) this.#missingTexts.add(id)
    }
  }

  #texts(): ProjectText[] {
    return this.#file.texts.map((text) => ({ ...text, exists: !this.#missingTexts.has(text.id) }))
  }

  #text(id: string): ProjectText {
    const text = this.#texts().find((each) => each.id === id)
    if (text) return text
    throw new AppError('not_found', `The project has no text ${id}.`)
  }

  #summaries(): RunSummary[] {
    return [...this.#runs.values()]
      .map((run) => run.summary(this.#file.model))
      .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
  }

  async #change(change: Partial<Omit<ProjectFile, 'schema_version'>>): Promise<void> {
    this.#file = { ...this.#file, ...change }
    await this.#write()
    this.services.onChange(this)
  }

  #write(): Promise<void> {
    return this.#serial.run(() => writeJsonAtomic(projectPaths.file(this.folder), this.#file))
  }

  /** Shows what could not be written, once. */
  #report(thrown: unknown): void {
    const { message, context } = toAppError(thrown)
    const file = basename(context?.file ?? this.folder)
    if (this.#problems.some((known) => known.message === message)) return
    this.#problems.push({ file, setAside: null, message })
    this.services.onChange(this)
  }
}

function measurementOf(
  result: PerplexityResult,
): Pick<Perplexity, 'perplexity' | 'context' | 'tokens' | 'predicted' | 'seconds' | 'measuredAt'> {
  const { perplexity, context, tokens, predicted, seconds } = result
  return {
    // JSON knows no infinity.
    perplexity: Number.isFinite(perplexity) ? perplexity : null,
    context,
    tokens,
    predicted,
    seconds,
    measuredAt: Date.now(),
  }
}

function defaultContext({ max_position_embeddings: limit }: ModelSummary): number {
  return Math.min(limit ?? DEFAULT_CONTEXT, DEFAULT_CONTEXT)
}

async function readText(path: string): Promise<Buffer> {
  const file = resolve(path)
  const refuse = (reason: string, cause?: unknown): AppError =>
    new AppError('bad_request', `${basename(file)} cannot be used: ${reason}.`, {
      hint: 'Choose a file of plain UTF-8 text.',
      context: { file, field: 'text' },
      ...(cause === undefined ? {} : { cause }),
    })
  const found = await stat(file).catch((cause: unknown) => {
    throw new AppError('not_found', `${file} does not exist.`, { context: { file }, cause })
  })
  if (!found.isFile()) throw refuse('it is not a file')
  if (found.size > MAX_TEXT_BYTES) throw refuse('it is longer than 256 MB')
  const bytes = await readFile(file)
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw refuse('it is not UTF-8 text', cause)
  }
  if (bytes.byteLength === 0) throw refuse('it is empty')
  return bytes
}

function withoutStack(error: AppError): AppErrorData {
  const { stack: _, ...data } = error.toData()
  return data
}
