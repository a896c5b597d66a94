import { mkdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { EngineVersions } from '@shared/engineProtocol'
import { AppError } from '@shared/errors'
import { isOpen, isStopped, type ExpandSpec, type JobEvent, type JobSnapshot } from '@shared/jobs'
import type {
  ExportRecordEntry,
  RunDetail,
  RunSeries,
  RunSettings,
  RunSummary,
} from '@shared/projects'
import type { ExpansionPlan } from '@shared/plan'
import type { JobObserver } from '../jobs/JobManager'
import { exists, removeFolder, writeJsonAtomic } from '@system/files'
import { clearLeftovers } from '@system/outputs'
import { readStored, setAside } from '../storage/stored'
import { Serial } from '../storage/Serial'
import { runFileSchema, SCHEMA_VERSION, type ProjectFile, type RunFile } from './schemas'
import { JsonLines } from './JsonLines'
import { RUN_FILE, runPaths } from './layout'
import { gatherSeries, seriesLine, thinSeries } from './series'

/** Lines of the log that a window gets. */
const LOG_LINES = 1_000

/** What became of reading a run's folder. */
export type LoadedRun =
  | { readonly state: 'ok'; readonly run: Run }
  | { readonly state: 'unreadable'; readonly setAside: string | null; readonly message: string }

export interface RunListener {
  /** Something that the window shows has changed. */
  onChange(): void
  /** The run's job has ended and everything about it is on the disk. */
  onEnd(run: Run): Promise<void> | void
  /** Something could not be written. */
  onProblem(error: unknown): void
}

/** A run in its folder: settings, state, timings, metrics, log, and what it made. */
export class Run {
  #file: RunFile
  /** Of the latest attempt, in this program. */
  #job: string | null = null
  #model: { path: string; bytes: number } | null = null
  #hasAnalysis = false
  readonly #metrics: JsonLines
  readonly #log: JsonLines
  /** Steps under way, with the time of their first report. */
  readonly #begun = new Map<string, number>()
  readonly #serial = new Serial()

  private constructor(
    readonly folder: string,
    file: RunFile,
    private readonly listener: RunListener,
  ) {
    this.#file = file
    const onProblem = (error: unknown): void => listener.onProblem(error)
    this.#metrics = new JsonLines(runPaths.metrics(folder), onProblem)
    this.#log = new JsonLines(runPaths.log(folder), onProblem)
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
      },
      listener,
    )
    await mkdir(folder, { recursive: true })
    await run.#write()
    return run
  }

  /** Reads a run's folder; one whose job was open when the program ended is `interrupted` from now on. */
  static async load(folder: string, listener: RunListener): Promise<LoadedRun> {
    const path = runPaths.file(folder)
    const stored = await readStored(path, runFileSchema, SCHEMA_VERSION)
    switch (stored.state) {
      case 'absent':
        return unreadable(null, 'It has no run.json: the run cannot be shown.')
      case 'newer':
        return unreadable(null, 'It was made by a newer version of the program and is not shown.')
      case 'damaged': {
        const aside = await setAside(path)
        return unreadable(aside, `It is damaged (${stored.reason}): the run cannot be shown.`)
      }
      case 'ok': {
        const run = new Run(folder, { ...stored.value, id: basename(folder) }, listener)
        if (isOpen(run.#file.state)) {
          // The program did not live to say when: the last that it wrote tells.
          const endedAt = await run.#lastSign()
          run.#file = { ...run.#file, state: 'interrupted', endedAt }
          await clearLeftovers(runPaths.model(folder))
          await run.#write()
        }
        await run.#look()
        return { state: 'ok', run }
      }
    }
  }

  get id(): string {
    return this.#file.id
  }

  get name(): string {
    return this.#file.name
  }

  get file(): Readonly<RunFile> {
    return this.#file
  }

  get job(): string | null {
    return this.#job
  }

  /** Whether its job waits or runs. */
  get isOpen(): boolean {
    return isOpen(this.#file.state)
  }

  summary(model: ProjectFile['model']): RunSummary {
    const file = this.#file
    return {
      id: file.id,
      name: file.name,
      method: file.settings.method.name,
      state: file.state,
      job: this.#job,
      createdAt: file.createdAt,
      startedAt: file.startedAt,
      endedAt: file.endedAt,
      earlierMs: file.earlierMs,
      settings: file.settings,
      layersBefore: file.layersBefore,
      layersAfter: file.layersAfter,
      newLayers: file.newLayers,
      device: file.device,
      result: file.result && {
        ...file.result,
        out: runPaths.model(this.folder),
        // What the job says is its own time, the last attempt's.
        seconds: file.result.seconds + file.earlierMs / 1000,
      },
      error: file.error,
      model: this.#model,
      hasAnalysis: this.#hasAnalysis,
      canResume: isStopped(file.state) && file.timings.some(({ seconds }) => seconds !== null),
      isOfThisModel: model.digest === null || file.base.digest === model.digest,
      exports: file.exports,
      training: null,
    }
  }

  async detail(model: ProjectFile['model'], spec: ExpandSpec): Promise<RunDetail> {
    await Promise.all([this.#log.flush(), this.#metrics.flush()])
    const { versions, timings } = this.#file
    const unknown = { engine: 'unknown', onnxruntime: 'unknown', node: 'unknown' }
    const series = gatherSeries(await JsonLines.read(runPaths.metrics(this.folder)))
    return {
      run: this.summary(model),
      versions: versions ?? unknown,
      spec,
      timings,
      log: (await JsonLines.read(runPaths.log(this.folder))).filter(isLogLine).slice(-LOG_LINES),
      series: [...series].map(([name, { x }]) => ({ name, points: x.length })),
    }
  }

  async series(maxPoints: number): Promise<RunSeries> {
    await this.#metrics.flush()
    return thinSeries(gatherSeries(await JsonLines.read(runPaths.metrics(this.folder))), maxPoints)
  }

  /** Readies the record for another attempt; what earlier ones left in it stays. */
  async begin(versions: EngineVersions): Promise<void> {
    this.#begun.clear()
    this.#file = {
      ...this.#file,
      state: 'queued',
      startedAt: null,
      endedAt: null,
      attempts: this.#file.attempts + 1,
      earlierMs: this.#file.earlierMs + spentMs(this.#file),
      versions,
      result: null,
      error: null,
    }
    await this.#write()
    await this.#look()
  }

  /** What keeps the record of the run's job. */
  observer(): JobObserver {
    return {
      onState: (snapshot) => this.#onState(snapshot),
      onEvent: (event) => this.#onEvent(event),
    }
  }

  async rename(name: string): Promise<void> {
    this.#file = { ...this.#file, name }
    await this.#write()
  }

  async addExport(entry: ExportRecordEntry): Promise<void> {
    const exported = { ...entry, checks: entry.checks.map((check) => ({ ...check })) }
    this.#file = { ...this.#file, exports: [...this.#file.exports, exported] }
    await this.#write()
  }

  async deleteModel(): Promise<void> {
    this.#refuseOpen()
    this.#model = null
    await removeFolder(runPaths.model(this.folder))
    await removeFolder(`${runPaths.model(this.folder)}.partial`)
  }

  /** Removes the run's folder for good. */
  async remove(): Promise<void> {
    this.#refuseOpen()
    await this.settle()
    await removeFolder(this.folder)
  }

  /** Resolves when everything is on the disk. */
  async settle(): Promise<void> {
    await Promise.all([this.#metrics.flush(), this.#log.flush()])
    await this.#serial.idle()
  }

  #refuseOpen(): void {
    if (!this.isOpen) return
    throw new AppError('bad_request', `${this.name} waits or runs.`, { hint: 'Cancel it first.' })
  }

  #onState(snapshot: JobSnapshot): void {
    this.#job = snapshot.id
    const { state, startedAt, endedAt, result, error, device } = snapshot
    const { stack: _, ...told } = error ?? {}
    this.#file = {
      ...this.#file,
      state,
      startedAt: startedAt ?? null,
      endedAt: endedAt ?? null,
      device: device ?? this.#file.device,
      result: result?.kind === 'expand' ? result : null,
      error: error ? (told as RunFile['error']) : null,
    }
    if (endedAt !== undefined) {
      if (state === 'succeeded') {
        // Known before it has been looked at: the job said so.
        this.#hasAnalysis = true
        this.#model = {
          path: runPaths.model(this.folder),
          bytes: this.#file.result?.bytes ?? 0,
        }
      } else this.#model = null
      void this.#serial.run(() => this.#end(state))
    } else void this.#saveSoon()
    this.listener.onChange()
  }

  async #end(state: JobSnapshot['state']): Promise<void> {
    try {
      await Promise.all([this.#metrics.flush(), this.#log.flush()])
      // Stopped after the checkpoint was written, before the run was done: it belongs to no run that has succeeded.
      if (state !== 'succeeded') await removeFolder(runPaths.model(this.folder))
      await writeJsonAtomic(runPaths.file(this.folder), this.#file)
      await this.#look()
      await this.listener.onEnd(this)
    } catch (error) {
      this.listener.onProblem(error)
    }
  }

  #onEvent(event: JobEvent): void {
    switch (event.type) {
      case 'plan': {
        const before = new Map(this.#file.timings.map((timing) => [timing.id, timing]))
        const timings = event.steps.map(({ id, label }) => ({
          seconds: null,
          ...before.get(id),
          id,
          label,
        }))
        this.#file = { ...this.#file, timings }
        return
      }
      case 'step':
        this.#onStep(event)
        return
      case 'metric':
        this.#metrics.append(seriesLine(event))
        return
      case 'log':
        this.#log.append({ at: Date.now(), level: event.level, text: event.text })
        return
      case 'device':
        this.#file = { ...this.#file, device: event.decision }
        return
      case 'artifact':
    }
  }

  #onStep({ id, done, total, kept }: Extract<JobEvent, { type: 'step' }>): void {
    const isDone = total > 0 && done >= total
    const begun = this.#begun.get(id)
    if (begun === undefined) this.#begun.set(id, Date.now())
    if (!isDone) return
    const timings = this.#file.timings.map((timing) => {
      if (timing.id !== id) return timing
      if (kept === undefined) {
        return { id, label: timing.label, seconds: (Date.now() - (begun ?? Date.now())) / 1000 }
      }
      // Finished in an earlier attempt: that took the time. Another run's is said to be another's.
      if (timing.seconds !== null) return timing
      return { ...timing, seconds: kept ?? 0, isKept: true }
    })
    this.#file = { ...this.#file, timings }
    void this.#saveSoon()
  }

  /** Saves in the background; what cannot be written is reported. */
  async #saveSoon(): Promise<void> {
    try {
      await this.#write()
    } catch (error) {
      this.listener.onProblem(error)
    }
  }

  #write(): Promise<void> {
    return this.#serial.run(() => writeJsonAtomic(runPaths.file(this.folder), this.#file))
  }

  /** When the record was last written to, in milliseconds. */
  async #lastSign(): Promise<number> {
    const files = [runPaths.file, runPaths.metrics, runPaths.log].map((of) => of(this.folder))
    const found = await Promise.all(files.map((file) => stat(file).catch(() => null)))
    const last = Math.max(...found.map((file) => file?.mtimeMs ?? 0))
    return Math.max(this.#file.startedAt ?? 0, Math.min(last, Date.now()))
  }

  /** Finds out what is there. */
  async #look(): Promise<void> {
    this.#hasAnalysis = await exists(runPaths.analysis(this.folder))
    const path = runPaths.model(this.folder)
    const found = (await stat(join(path, 'config.json')).catch(() => null))?.isFile() ?? false
    this.#model = found && this.#file.result ? { path, bytes: this.#file.result.bytes } : null
  }
}

/** What the latest attempt took; 0 while that is not known. */
function spentMs({ startedAt, endedAt }: RunFile): number {
  return startedAt === null || endedAt === null ? 0 : Math.max(0, endedAt - startedAt)
}

function unreadable(aside: string | null, message: string): LoadedRun {
  return { state: 'unreadable', setAside: aside, message: `${RUN_FILE}: ${message}` }
}

function isLogLine(line: unknown): line is RunDetail['log'][number] {
  if (typeof line !== 'object' || line === null) return false
  const { at, level, text } = line as Record<string, unknown>
  return (
    typeof at === 'number' && (level === 'info' || level === 'warning') && typeof text === 'string'
  )
}
