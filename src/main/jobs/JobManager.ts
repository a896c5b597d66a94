import { randomUUID } from 'node:crypto'
import { AppError, toAppError } from '@shared/errors'
import {
  isOver,
  kindOf,
  LANES,
  type JobEvent,
  type JobOwner,
  type JobResult,
  type JobSnapshot,
  type JobSpec,
  type Lane,
} from '@shared/jobs'
import { isWithin } from '@system/paths'
import { checkOutput, outputOf } from './output'
import {
  cancelled,
  cancelling,
  failed,
  foldEvent,
  interrupted,
  newSnapshot,
  started,
  succeeded,
} from './snapshot'

/** What carries a job out; {@link EngineClient.runJob} does. Rejects with `cancelled` when the signal was aborted. */
export type RunJob = (
  spec: JobSpec,
  options: {
    readonly jobId: string
    readonly signal: AbortSignal
    readonly onEvent: (event: JobEvent) => void
    readonly workDir?: string
    readonly recordDir?: string
  },
) => Promise<JobResult>

/** Is told of everything about one job, before those who have subscribed to all. */
export interface JobObserver {
  onEvent?(event: JobEvent): unknown
  /** Called on every change of state, the first (`queued`) and the last included. */
  onState?(snapshot: JobSnapshot): unknown
}

export interface JobExtras {
  readonly owner?: JobOwner
  /** Where the job may keep what a later one can use again. */
  readonly workDir?: string
  /** Where the job leaves its record. */
  readonly recordDir?: string
  readonly observer?: JobObserver
}

type Listener = (snapshot: JobSnapshot) => void

/** At most ten updates a second and job. */
const UPDATE_INTERVAL_MS = 100

/** Jobs that are kept after their end, so that a window can still ask for them. */
const KEPT_JOBS = 100

/** Jobs that may wait: more is a runaway client, not a person. */
const MAX_QUEUED = 100

interface Entry {
  snapshot: JobSnapshot
  readonly extras: JobExtras
  readonly controller: AbortController
  /** Waits to tell listeners of what has been folded since the last time. */
  timer: NodeJS.Timeout | null
  toldSeq: number
}

/** The queue: one job at a time in each lane, and a snapshot of every job for whoever asks or listens. */
export class JobManager {
  readonly #run: RunJob
  #entries = new Map<string, Entry>()
  readonly #listeners = new Set<Listener>()
  readonly #current = new Map<Lane, Promise<void>>()
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
  start(spec: JobSpec, extras: JobExtras = {}): JobSnapshot {
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
    const snapshot = newSnapshot(randomUUID(), spec, Date.now(), extras.owner)
    const controller = new AbortController()
    const entry: Entry = { snapshot, extras, controller, timer: null, toldSeq: -1 }
    this.#entries.set(snapshot.id, entry)
    extras.observer?.onState?.(snapshot)
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

  /**
   * Moves a waiting job before another waiting one, or behind all.
   *
   * @throws AppError `not_found`, `bad_request` when either does not wait.
   */
  moveBefore(id: string, before: string | null): readonly JobSnapshot[] {
    const moved = this.#waiting(id)
    const target = before === null ? null : this.#waiting(before)
    if (moved !== target) {
      const others = [...this.#entries].filter(([, entry]) => entry !== moved)
      const place = target ? others.findIndex(([, entry]) => entry === target) : others.length
      this.#entries = new Map([...others.slice(0, place), [id, moved], ...others.slice(place)])
    }
    return this.list()
  }

  /** Every job that is known, in the order in which they were or will be run. */
  list(): readonly JobSnapshot[] {
    return [...this.#entries.values()].map(({ snapshot }) => snapshot)
  }

  /** Tells of every change of state at once, of everything else at most ten times a second. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Ends everything as `interrupted` and resolves when nothing runs any more. */
  async dispose(): Promise<void> {
    this.#disposed = true
    for (const entry of this.#entries.values()) {
      if (entry.snapshot.state === 'queued') {
        this.#change(entry, interrupted(entry.snapshot, Date.now()))
      } else entry.controller.abort()
    }
    await Promise.all(this.#current.values())
  }

  #next(): void {
    for (const lane of LANES) {
      if (this.#current.has(lane)) continue
      const entry = [...this.#entries.values()].find(
        ({ snapshot }) => snapshot.state === 'queued' && kindOf(snapshot.spec).lane === lane,
      )
      if (!entry) continue
      const done = this.#carryOut(entry).finally(() => {
        this.#current.delete(lane)
        this.#next()
      })
      this.#current.set(lane, done)
    }
  }

  async #carryOut(entry: Entry): Promise<void> {
    const { id: jobId, spec } = entry.snapshot
    this.#change(entry, started(entry.snapshot, Date.now()))
    const onEvent = (event: JobEvent): void => {
      if (isOver(entry.snapshot)) return
      entry.snapshot = foldEvent(entry.snapshot, event, Date.now())
      entry.extras.observer?.onEvent?.(event)
      this.#tellSoon(entry)
    }
    const { workDir, recordDir } = entry.extras
    try {
      const result = await this.#run(spec, {
        jobId,
        signal: entry.controller.signal,
        onEvent,
        ...(workDir === undefined ? {} : { workDir }),
        ...(recordDir === undefined ? {} : { recordDir }),
      })
      this.#change(entry, succeeded(entry.snapshot, result, Date.now()))
    } catch (thrown) {
      const error = toAppError(thrown)
      const end = (): JobSnapshot => {
        if (error.code !== 'cancelled') return failed(entry.snapshot, error.toData(), Date.now())
        const wasAsked = entry.snapshot.state === 'cancelling'
        return (wasAsked ? cancelled : interrupted)(entry.snapshot, Date.now())
      }
      this.#change(entry, end())
    }
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id)
    if (!entry) throw new AppError('not_found', `There is no job ${id}.`)
    return entry
  }

  #waiting(id: string): Entry {
    const entry = this.#entry(id)
    if (entry.snapshot.state === 'queued') return entry
    throw new AppError('bad_request', 'Only a job that waits can be moved.', {
      context: { expected: 'queued', actual: entry.snapshot.state },
    })
  }

  #change(entry: Entry, snapshot: JobSnapshot): void {
    entry.snapshot = snapshot
    entry.extras.observer?.onState?.(snapshot)
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
