import { stat } from 'node:fs/promises'
import type { EngineVersions } from '@shared/engineProtocol'
import { AppError } from '@shared/errors'
import { isOpen, type JobEvent, type JobSnapshot } from '@shared/jobs'
import type { RunDetail, RunSeries } from '@shared/projects'
import { removeFolder, writeJsonAtomic } from '@system/files'
import type { JobObserver } from '../jobs/JobManager'
import { Serial } from '../storage/Serial'
import { readStored, setAside } from '../storage/stored'
import { JsonLines } from './JsonLines'
import { recordPaths } from './layout'
import { SCHEMA_VERSION, type JobFile } from './schemas'
import { gatherSeries, seriesLine, thinSeries } from './series'
import type { z } from 'zod'

/** Lines of the log that a window gets. */
const LOG_LINES = 1_000

export interface RecordListener<Record> {
  /** Something that the window shows has changed. */
  onChange(): void
  /** The job has ended and everything about it is on the disk. */
  onEnd(record: Record): Promise<void> | void
  /** Something could not be written. */
  onProblem(error: unknown): void
}

/** What became of reading a record's file. */
export type LoadedFile<File> =
  | { readonly state: 'ok'; readonly file: File }
  | { readonly state: 'unreadable'; readonly setAside: string | null; readonly message: string }

/**
 * Reads a record's file; a damaged one is set aside.
 *
 * @param name Of the file, and of what cannot be shown without it: `run`.
 */
export async function readRecord<S extends z.ZodType>(
  path: string,
  schema: S,
  name: string,
): Promise<LoadedFile<z.infer<S>>> {
  const unreadable = (message: string, aside: string | null = null) =>
    ({ state: 'unreadable', setAside: aside, message: `${name}.json: ${message}` }) as const
  const stored = await readStored(path, schema, SCHEMA_VERSION)
  switch (stored.state) {
    case 'absent':
      return unreadable(`It has no ${name}.json: the ${name} cannot be shown.`)
    case 'newer':
      return unreadable('It was made by a newer version of the program and is not shown.')
    case 'damaged': {
      const aside = await setAside(path)
      return unreadable(`It is damaged (${stored.reason}): the ${name} cannot be shown.`, aside)
    }
    case 'ok':
      return { state: 'ok', file: stored.value }
  }
}

/** A job's record in a folder of its own: state, timings, metrics and log, whatever attempts it took. */
export abstract class JobRecord<File extends JobFile> {
  #file: File
  /** Of the latest attempt, in this program. */
  #job: string | null = null
  readonly #metrics: JsonLines
  readonly #log: JsonLines
  /** Steps under way, with the time of their first report. */
  readonly #begun = new Map<string, number>()
  readonly #serial = new Serial()

  protected constructor(
    readonly folder: string,
    file: File,
    /** Of the file, in the folder. */
    private readonly path: string,
    protected readonly listener: Pick<RecordListener<never>, 'onChange' | 'onProblem'>,
  ) {
    this.#file = file
    const onProblem = (error: unknown): void => listener.onProblem(error)
    this.#metrics = new JsonLines(recordPaths.metrics(folder), onProblem)
    this.#log = new JsonLines(recordPaths.log(folder), onProblem)
  }

  /** What of a job's result belongs into the record. */
  protected abstract resultOf(snapshot: JobSnapshot): File['result']

  /** The job has ended, as the record says by now: for what is known before it has been looked at. */
  protected noteEnd?(): void

  /** Before the record of a job that has ended is written: removes, or keeps beside it, what the job has left. */
  protected abstract tidy(snapshot: JobSnapshot): Promise<void>

  /** Finds out what is there. */
  protected abstract look(): Promise<void>

  /** Everything about a job that has ended is on the disk. */
  protected abstract tellEnd(): Promise<void> | void

  get id(): string {
    return this.#file.id
  }

  get name(): string {
    return this.#file.name
  }

  get file(): Readonly<File> {
    return this.#file
  }

  get job(): string | null {
    return this.#job
  }

  /** Whether its job waits or runs. */
  get isOpen(): boolean {
    return isOpen(this.#file.state)
  }

  /** What a summary tells of a job's record, whatever it made. */
  protected told() {
    const { id, name, state, createdAt, startedAt, endedAt, earlierMs, device, error } = this.#file
    const job = this.#job
    return { id, name, state, job, createdAt, startedAt, endedAt, earlierMs, device, error }
  }

  async history(): Promise<Pick<RunDetail, 'versions' | 'timings' | 'log' | 'series'>> {
    await Promise.all([this.#log.flush(), this.#metrics.flush()])
    const { versions, timings } = this.#file
    const unknown = { engine: 'unknown', onnxruntime: 'unknown', node: 'unknown' }
    const series = gatherSeries(await JsonLines.read(recordPaths.metrics(this.folder)))
    return {
      versions: versions ?? unknown,
      timings,
      log: (await JsonLines.read(recordPaths.log(this.folder))).filter(isLogLine).slice(-LOG_LINES),
      series: [...series].map(([name, { x }]) => ({ name, points: x.length })),
    }
  }

  async series(maxPoints: number): Promise<RunSeries> {
    await this.#metrics.flush()
    const lines = await JsonLines.read(recordPaths.metrics(this.folder))
    return thinSeries(gatherSeries(lines), maxPoints)
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
    await this.write()
    await this.look()
  }

  /** What keeps the record of its job. */
  observer(): JobObserver {
    return {
      onState: (snapshot) => this.#onState(snapshot),
      onEvent: (event) => this.#onEvent(event),
    }
  }

  async rename(name: string): Promise<void> {
    await this.change({ name } as Partial<File>)
  }

  /** Removes the folder for good. */
  async remove(): Promise<void> {
    this.refuseOpen()
    await this.settle()
    await removeFolder(this.folder)
  }

  /** Resolves when everything is on the disk. */
  async settle(): Promise<void> {
    await Promise.all([this.#metrics.flush(), this.#log.flush()])
    await this.#serial.idle()
  }

  protected async change(change: Partial<File>): Promise<void> {
    this.#file = { ...this.#file, ...change }
    await this.write()
  }

  protected write(): Promise<void> {
    return this.#serial.run(() => writeJsonAtomic(this.path, this.#file))
  }

  /** From now on `interrupted`: the program ended while the job was open, and did not live to say when. */
  protected async noteInterrupted(): Promise<void> {
    const endedAt = await this.#lastSign()
    this.#file = { ...this.#file, state: 'interrupted', endedAt }
  }

  protected refuseOpen(): void {
    if (!this.isOpen) return
    throw new AppError('bad_request', `${this.name} waits or runs.`, { hint: 'Cancel it first.' })
  }

  #onState(snapshot: JobSnapshot): void {
    this.#job = snapshot.id
    const { state, startedAt, endedAt, error, device } = snapshot
    const { stack: _, ...told } = error ?? {}
    this.#file = {
      ...this.#file,
      state,
      startedAt: startedAt ?? null,
      endedAt: endedAt ?? null,
      device: device ?? this.#file.device,
      result: this.resultOf(snapshot),
      error: error ? (told as File['error']) : null,
    }
    if (endedAt !== undefined) {
      this.noteEnd?.()
      void this.#serial.run(() => this.#end(snapshot))
    } else void this.#saveSoon()
    this.listener.onChange()
  }

  async #end(snapshot: JobSnapshot): Promise<void> {
    try {
      await Promise.all([this.#metrics.flush(), this.#log.flush()])
      await this.tidy(snapshot)
      await writeJsonAtomic(this.path, this.#file)
      await this.look()
      await this.tellEnd()
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
      case 'text':
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
      await this.write()
    } catch (error) {
      this.listener.onProblem(error)
    }
  }

  /** When the record was last written to, in milliseconds. */
  async #lastSign(): Promise<number> {
    const { metrics, log } = recordPaths
    const files = [this.path, metrics(this.folder), log(this.folder)]
    const found = await Promise.all(files.map((file) => stat(file).catch(() => null)))
    const last = Math.max(...found.map((file) => file?.mtimeMs ?? 0))
    return Math.max(this.#file.startedAt ?? 0, Math.min(last, Date.now()))
  }
}

/** What the latest attempt took; 0 while that is not known. */
function spentMs({ startedAt, endedAt }: JobFile): number {
  return startedAt === null || endedAt === null ? 0 : Math.max(0, endedAt - startedAt)
}

function isLogLine(line: unknown): line is RunDetail['log'][number] {
  if (typeof line !== 'object' || line === null) return false
  const { at, level, text } = line as Record<string, unknown>
  return (
    typeof at === 'number' && (level === 'info' || level === 'warning') && typeof text === 'string'
  )
}
