import { randomUUID } from 'node:crypto'
import { AppError, toAppError } from '@shared/errors'
import type { JobEvent, JobResult, JobSnapshot, JobSpec } from '@shared/jobs'
import { checkOutput, isWithin, outputOf } from './output'
import {
  cancelled,
  cancelling,
  failed,
  foldEvent,
  isOver,
  newSnapshot,
  started,
  succeeded,
} from './snapshot'

/** What carries a job out; {@link EngineClient.runJob} does. Rejects with `cancelled` when the signal was aborted. */
export type RunJob = (
  spec: JobSpec,
  options: { jobId: string; signal: AbortSignal; onEvent: (event: JobEvent) => void },
) => Promise<JobResult>

type Listener = (snapshot: JobSnapshot) => void

/** At most ten updates a second and job. */
const UPDATE_INTERVAL_MS = 100

/** Jobs that are kept after their end, so that a window can still ask for them. */
const KEPT_JOBS = 100

/** Jobs that may wait: more is a runaway client, not a person. */
const MAX_QUEUED = 100

interface Entry {
  snapshot: JobSnapshot
  readonly controller: AbortController
  /** Waits to tell listeners of what has been folded since the last time. */
  timer: NodeJS.Timeout | null
  toldSeq: number
}

/** The queue: one job at a time, and a snapshot of every job for whoever asks or listens. */
export class JobManager {
  readonly #run: RunJob
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Set<Listener>()
  #current: Promise<void> | null = null
  #disposed = false

  constructor(run: RunJob) {
    this.#run = run
  }

  /**
   * Queues a job.
   *
   * @throws AppError `path_denied` for an output that would take the model with it, `bad_request` when a job that has
   * not ended writes to the same place or too many wait.
   */
  start(spec: JobSpec): JobSnapshot {
    if (this.#disposed) throw new AppError('bad_request', 'The program is closing.')
    checkOutput(spec)
    const open = [...this.#entries.values()].filter(({ snapshot }) => !isOver(snapshot))
    if (open.length > MAX_QUEUED) {
      throw new AppError('bad_request', `${MAX_QUEUED} jobs are waiting already.`, {
        hint: 'Cancel some of them, or wait.',
      })
    }
    const out = outputOf(spec)
    const rival = open.find(({ snapshot }) => overlap(out, outputOf(snapshot.spec)))
    if (out !== null && rival) {
      throw new AppError('bad_request', `Another job writes to ${out} already.`, {
        hint: 'Choose another output folder, or wait until that job has ended.',
        context: { field: 'out', file: out },
      })
    }
    const snapshot = newSnapshot(randomUUID(), spec, Date.now())
    const entry: Entry = { snapshot, controller: new AbortController(), timer: null, toldSeq: -1 }
    this.#entries.set(snapshot.id, entry)
    this.#forgetOldest()
    this.#tell(entry)
    this.#next()
    return entry.snapshot
  }

  /** Cancels a job that has not ended; to one that has, nothing happens. */
  cancel(id: string): JobSnapshot {
    const entry = this.#entry(id)
    switch (entry.snapshot.state) {
      case 'queued':
        this.#change(entry, cancelled(entry.snapshot, Date.now()))
        break
      case 'running':
        this.#change(entry, cancelling(entry.snapshot))
        entry.controller.abort()
        break
      default:
    }
    return entry.snapshot
  }

  /** @throws AppError `not_found`. */
  get(id: string): JobSnapshot {
    return this.#entry(id).snapshot
  }

  /** Every job that is known, oldest first. */
  list(): readonly JobSnapshot[] {
    return [...this.#entries.values()].map(({ snapshot }) => snapshot)
  }

  /** Tells of every change of state at once, of everything else at most ten times a second. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Cancels everything and resolves when nothing runs any more. */
  async dispose(): Promise<void> {
    this.#disposed = true
    // The waiting ones first, so that none of them gets its turn.
    for (const entry of [...this.#entries.values()].reverse()) this.cancel(entry.snapshot.id)
    await this.#current
  }

  #next(): void {
    if (this.#current) return
    const entry = [...this.#entries.values()].find(({ snapshot }) => snapshot.state === 'queued')
    if (!entry) return
    this.#current = this.#carryOut(entry).finally(() => {
      this.#current = null
      this.#next()
    })
  }

  async #carryOut(entry: Entry): Promise<void> {
    const { id: jobId, spec } = entry.snapshot
    this.#change(entry, started(entry.snapshot, Date.now()))
    const onEvent = (event: JobEvent): void => {
      if (isOver(entry.snapshot)) return
      entry.snapshot = foldEvent(entry.snapshot, event, Date.now())
      this.#tellSoon(entry)
    }
    try {
      const { signal } = entry.controller
      const result = await this.#run(spec, { jobId, signal, onEvent })
      this.#change(entry, succeeded(entry.snapshot, result, Date.now()))
    } catch (thrown) {
      const error = toAppError(thrown)
      const end =
        error.code === 'cancelled'
          ? cancelled(entry.snapshot, Date.now())
          : failed(entry.snapshot, error.toData(), Date.now())
      this.#change(entry, end)
    }
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id)
    if (!entry) throw new AppError('not_found', `There is no job ${id}.`)
    return entry
  }

  #change(entry: Entry, snapshot: JobSnapshot): void {
    entry.snapshot = snapshot
    this.#tell(entry)
  }

  #tellSoon(entry: Entry): void {
    // The first update of a quiet job is told on the next turn of the interval, together with what follows it.
    entry.timer ??= setTimeout(() => this.#tell(entry), UPDATE_INTERVAL_MS)
  }

  #tell(entry: Entry): void {
    if (entry.timer) clearTimeout(entry.timer)
    entry.timer = null
    if (entry.snapshot.seq === entry.toldSeq) return
    entry.toldSeq = entry.snapshot.seq
    for (const listener of this.#listeners) listener(entry.snapshot)
  }

  #forgetOldest(): void {
    const over = [...this.#entries.values()].filter(({ snapshot }) => isOver(snapshot))
    for (const { snapshot } of over.slice(0, Math.max(0, over.length - KEPT_JOBS))) {
      this.#entries.delete(snapshot.id)
    }
  }
}

function overlap(a: string | null, b: string | null): boolean {
  return a !== null && b !== null && (isWithin(a, b) || isWithin(b, a))
}
