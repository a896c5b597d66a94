import { mkdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { AppError } from '@shared/errors'
import { isOpen, isStopped, type ExpandSpec, type JobSnapshot } from '@shared/jobs'
import type {
  ExportRecordEntry,
  RunDetail,
  RunElsewhere,
  RunSettings,
  RunSummary,
} from '@shared/projects'
import type { ExpansionPlan } from '@shared/plan'
import { exists, removeFolder } from '@system/files'
import { clearLeftovers } from '@system/outputs'
import { JobRecord, readRecord, type LoadedFile, type RecordListener } from './JobRecord'
import { runPaths } from './layout'
import { resolveModelPath } from './modelPath'
import { runFileSchema, SCHEMA_VERSION, type ProjectFile, type RunFile } from './schemas'
import type { PartServices } from './services'

/** What became of reading a run's folder. */
export type LoadedRun =
  | { readonly state: 'ok'; readonly run: Run }
  | Extract<LoadedFile<RunFile>, { state: 'unreadable' }>

export type RunListener = RecordListener<Run>

/** A run in its folder: settings, state, timings, metrics, log, and what it made. */
export class Run extends JobRecord<RunFile> {
  #model: { path: string; bytes: number } | null = null
  #hasAnalysis = false
  #elsewhere: RunElsewhere['state'] = 'ready'

  private constructor(
    folder: string,
    file: RunFile,
    protected override readonly listener: RunListener,
  ) {
    super(folder, file, runPaths.file(folder), listener)
  }

  /** Makes a new run's folder. @throws AppError when it cannot be written. */
  static async create(
    folder: string,
    options: {
      readonly name: string
      readonly settings: RunSettings
      readonly plan: ExpansionPlan
      readonly layersBefore: number
      readonly base: RunFile['base']
    },
    listener: RunListener,
  ): Promise<Run> {
    const { name, settings, plan, layersBefore, base } = options
    const run = new Run(
      folder,
      {
        schema_version: SCHEMA_VERSION,
        id: basename(folder),
        name,
        state: 'queued',
        createdAt: Date.now(),
        startedAt: null,
        endedAt: null,
        attempts: 0,
        earlierMs: 0,
        settings,
        base,
        layersBefore,
        layersAfter: plan.layers.length,
        newLayers: [...plan.newLayers],
        versions: null,
        device: null,
        timings: [],
        result: null,
        error: null,
        exports: [],
        training: null,
        elsewhere: null,
      },
      listener,
    )
    await mkdir(folder, { recursive: true })
    await run.write()
    return run
  }

  /** Reads a run's folder; one whose job was open when the program ended is `interrupted` from now on. */
  static async load(folder: string, listener: RunListener): Promise<LoadedRun> {
    const loaded = await readRecord(runPaths.file(folder), runFileSchema, 'run')
    if (loaded.state !== 'ok') return loaded
    const run = new Run(folder, { ...loaded.file, id: basename(folder) }, listener)
    if (isOpen(run.file.state)) {
      await run.noteInterrupted()
      await clearLeftovers(runPaths.model(folder))
      await run.write()
    }
    await run.look()
    return { state: 'ok', run }
  }

  /** Where its checkpoint lies, or would: its own, or the folder of one that was trained elsewhere. */
  get modelPath(): string {
    const { elsewhere } = this.file
    if (elsewhere === null) return runPaths.model(this.folder)
    const project = dirname(dirname(this.folder))
    // A path of another system is no place on this one, but can be shown.
    return resolveModelPath(project, elsewhere.path) ?? elsewhere.path
  }

  summary(model: ProjectFile['model']): RunSummary {
    const { file } = this
    return {
      ...this.told(),
      method: file.settings.method.name,
      settings: file.settings,
      layersBefore: file.layersBefore,
      layersAfter: file.layersAfter,
      newLayers: file.newLayers,
      result: file.result && {
        ...file.result,
        out: this.modelPath,
        // What the job says is its own time, the last attempt's.
        seconds: file.result.seconds + file.earlierMs / 1000,
      },
      model: this.#model,
      hasAnalysis: this.#hasAnalysis,
      canResume: isStopped(file.state) && file.timings.some(({ seconds }) => seconds !== null),
      isOfThisModel: model.digest === null || file.base.digest === model.digest,
      exports: file.exports,
      training: file.training,
      elsewhere: this.#toldElsewhere(),
    }
  }

  async detail(model: ProjectFile['model'], spec: ExpandSpec): Promise<RunDetail> {
    return { run: this.summary(model), spec, ...(await this.history()) }
  }

  async addExport(entry: ExportRecordEntry): Promise<void> {
    const exported = { ...entry, checks: entry.checks.map((check) => ({ ...check })) }
    await this.change({ exports: [...this.file.exports, exported] })
  }

  async deleteModel(): Promise<void> {
    this.refuseOpen()
    if (this.file.elsewhere !== null) {
      throw new AppError('bad_request', `The checkpoint of ${this.name} is not the project's.`, {
        hint: 'Remove the run from the project: the folder stays as it is.',
        context: { file: this.modelPath },
      })
    }
    this.#model = null
    await removeFolder(runPaths.model(this.folder))
    await removeFolder(`${runPaths.model(this.folder)}.partial`)
  }

  /**
   * Whether the folder of a model that was trained elsewhere still holds what was compared.
   *
   * @param identify Tells a checkpoint by its weights.
   * @returns Whether that is another answer than before.
   */
  async checkElsewhere(identify: PartServices['engine']['identify']): Promise<boolean> {
    const { elsewhere } = this.file
    if (elsewhere === null) return false
    const before = this.#elsewhere
    const isThere = await exists(join(this.modelPath, 'config.json'))
    const found = isThere ? await identify(this.modelPath).catch(() => null) : null
    const now = found?.digest === elsewhere.digest ? 'ready' : isThere ? 'changed' : 'missing'
    this.#elsewhere = now
    await this.look()
    return now !== before
  }

  /** Looks again: another job than the run's own has left something in its folder. */
  async lookAgain(): Promise<void> {
    await this.look()
    this.listener.onChange()
  }

  protected override resultOf({ result }: JobSnapshot): RunFile['result'] {
    return result?.kind === 'expand' ? result : null
  }

  protected override noteEnd(): void {
    if (this.file.state === 'succeeded') {
      // Known before it has been looked at: the job said so.
      this.#hasAnalysis = true
      this.#model = { path: this.modelPath, bytes: this.file.result?.bytes ?? 0 }
    } else this.#model = null
  }

  protected override async tidy({ state }: JobSnapshot): Promise<void> {
    // Stopped after the checkpoint was written, before the run was done: it belongs to no run that has succeeded.
    if (state !== 'succeeded') await removeFolder(runPaths.model(this.folder))
    else await removeFolder(runPaths.texts(this.folder))
  }

  protected override async look(): Promise<void> {
    this.#hasAnalysis = await exists(runPaths.analysis(this.folder))
    const path = this.modelPath
    const found = (await stat(join(path, 'config.json')).catch(() => null))?.isFile() ?? false
    const isIts = found && this.#elsewhere === 'ready'
    this.#model = isIts && this.file.result ? { path, bytes: this.file.result.bytes } : null
  }

  #toldElsewhere(): RunElsewhere | null {
    const { elsewhere } = this.file
    if (elsewhere === null) return null
    const { digest: _, ...told } = elsewhere
    return { ...told, path: this.modelPath, state: this.#elsewhere }
  }

  protected override tellEnd(): Promise<void> | void {
    return this.listener.onEnd(this)
  }
}
