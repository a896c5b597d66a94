import { randomUUID } from 'node:crypto'
import { AppError, toAppError } from '@shared/errors'
import {
  foldChange,
  isOver,
  kindOf,
  LANES,
  newJob,
  pathsOf,
  queueChange,
  type JobChange,
  type JobEvent,
  type JobOutcome,
  type JobOwner,
  type JobSnapshot,
  type JobSpec,
  type JobUpdate,
  type Lane,
  type StateChange,
} from '@shared/jobs'
import { isWithin } from '@system/paths'
import { checkOutput, outputOf } from './output'

/** What carries a job out and never rejects; {@link EngineClient.runJob} does. */
export type RunJob = (
  spec: JobSpec,
  options: {
    readonly jobId: string
    readonly signal: AbortSignal
    readonly pauses: AbortSignal
    readonly onEvent: (event: JobEvent) => void
    readonly workDir?: string
    readonly recordDir?: string
  },
) => Promise<JobOutcome>

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
  /**
   * Whether its turn may come, asked whenever another job has ended; the others go before it until then.
   *
   * @throws AppError why it never can: the job fails with it.
   */
  readonly mayBegin?: () => boolean
}

type Listener = (job: JobSnapshot, update: JobUpdate) => void

/** At most ten updates a second and job. */
const UPDATE_INTERVAL_MS = 100

/** Jobs that are kept after their end, so that a window can still ask for them. */
const KEPT_JOBS = 100

/** Jobs that may wait: more is a runaway client, not a person. */
const MAX_QUEUED = 100

interface Entry {
  /** With what waits in it; its number is that of the last update. */
  snapshot: JobSnapshot
  /** What listeners have not been told yet. */
  waiting: readonly JobChange[]
  /** Set while something waits. */
  timer: NodeJS.Timeout | null
  /** The one that was told of last. */
  step: string | null
  readonly extras: JobExtras
  readonly cancels: AbortController
  readonly pauses: AbortController
}

/**
 * The queue: one job at a time in each lane, a snapshot of every job for whoever asks, and updates for whoever listens. A
 * snapshot that is handed out holds exactly the updates up to its number, so that a listener can go on from it.
 */
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
    const snapshot = newJob(randomUUID(), spec, Date.now(), extras.owner)
    const entry: Entry = {
      snapshot,
      waiting: [],
      timer: null,
      step: null,
      extras,
      cancels: new AbortController(),
      pauses: new AbortController(),
    }
    this.#entries.set(snapshot.id, entry)
    extras.observer?.onState?.(snapshot)
    this.#forgetOldest()
    this.#emit(snapshot, { job: snapshot.id, seq: 0, events: [], snapshot })
    this.#next()
    return entry.snapshot
  }

  /** Cancels a job that has not ended; to one that has, nothing happens. */
  cancel(id: string): JobSnapshot {
    const entry = this.#entry(id)
    switch (entry.snapshot.state) {
      case 'queued':
        this.#change(entry, { state: 'cancelled' })
        // What has waited for it waits in vain.
        this.#next()
        break
      case 'running':
      case 'pausing':
        this.#change(entry, { state: 'cancelling' })
        entry.cancels.abort()
        break
      default:
    }
    return this.#told(entry)
  }

  /**
   * Lets a running job go on until all that it has computed is kept, and ends it there as `paused`; one that has ended is
   * left alone.
   *
   * @throws AppError `bad_request` when it does not run yet, or keeps nothing.
   */
  pause(id: string): JobSnapshot {
    const entry = this.#entry(id)
    const { state, spec } = entry.snapshot
    const kind = kindOf(spec)
    const canPause = kind.isKeptBefore !== undefined || kind.keepsOnPause === true
    const keeps = entry.extras.workDir !== undefined || pathsOf(spec, 'keeps').length > 0
    if (state === 'queued' || !keeps || !canPause) {
      throw new AppError('bad_request', 'This job cannot be paused.', {
        hint: 'Only a running growth or training that has a folder keeps what it has computed. Cancel it instead.',
        context: { expected: 'running', actual: state },
      })
    }
    if (state === 'running') {
      this.#change(entry, { state: 'pausing' })
      if (kind.keepsOnPause === true) entry.pauses.abort()
    }
    return this.#told(entry)
  }

  /** @throws AppError `not_found`. */
  get(id: string): JobSnapshot {
    return this.#told(this.#entry(id))
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
    return [...this.#entries.values()].map((entry) => this.#told(entry))
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
        this.#change(entry, { state: 'interrupted' })
      } else entry.cancels.abort()
    }
    await Promise.all(this.#current.values())
  }

  #next(): void {
    const ready = [...this.#entries.values()].filter(
      (entry) => entry.snapshot.state === 'queued' && this.#mayBegin(entry),
    )
    for (const lane of LANES) {
      if (this.#current.has(lane)) continue
      const entry = ready.find(({ snapshot }) => kindOf(snapshot.spec).lane === lane)
      if (!entry) continue
      const done = this.#carryOut(entry).finally(() => {
        this.#current.delete(lane)
        this.#next()
      })
      this.#current.set(lane, done)
    }
  }

  #mayBegin(entry: Entry): boolean {
    try {
      return entry.extras.mayBegin?.() ?? true
    } catch (error) {
      this.#change(entry, { state: 'failed', error: toAppError(error).toData() })
      return false
    }
  }

  async #carryOut(entry: Entry): Promise<void> {
    const { id: jobId, spec } = entry.snapshot
    this.#change(entry, { state: 'running' })
    const { workDir, recordDir, observer } = entry.extras
    const outcome = await this.#run(spec, {
      jobId,
      signal: entry.cancels.signal,
      pauses: entry.pauses.signal,
      onEvent: (event) => {
        if (isOver(entry.snapshot)) return
        this.#fold(entry, { ...event, at: Date.now() })
        observer?.onEvent?.(event)
        if (event.type === 'step') this.#reach(entry, event.id)
        entry.timer ??= setTimeout(() => this.#told(entry), UPDATE_INTERVAL_MS)
      },
      ...(workDir === undefined ? {} : { workDir }),
      ...(recordDir === undefined ? {} : { recordDir }),
    })
    this.#change(entry, outcome.state === 'cancelled' ? this.#stopped(entry) : outcome)
  }

  /** A job that pauses does so where a step begins before which everything is kept. */
  #reach(entry: Entry, step: string): void {
    const isNew = step !== entry.step
    entry.step = step
    const { state, spec } = entry.snapshot
    if (isNew && state === 'pausing' && kindOf(spec).isKeptBefore?.(step) === true) {
      entry.cancels.abort()
    }
  }

  /** What a job is whose work was stopped. */
  #stopped({ snapshot }: Entry): StateChange {
    if (snapshot.state === 'cancelling') return { state: 'cancelled' }
    if (snapshot.state === 'pausing' && !this.#disposed) return { state: 'paused' }
    return { state: 'interrupted' }
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

  #change(entry: Entry, change: StateChange): void {
    this.#fold(entry, { type: 'state', ...change, at: Date.now() })
    entry.extras.observer?.onState?.(entry.snapshot)
    this.#told(entry)
  }

  #fold(entry: Entry, change: JobChange): void {
    entry.snapshot = foldChange(entry.snapshot, change)
    entry.waiting = queueChange(entry.waiting, change)
  }

  /** The job, once listeners know of it what it says. */
  #told(entry: Entry): JobSnapshot {
    if (entry.timer) clearTimeout(entry.timer)
    entry.timer = null
    const { waiting: events, snapshot } = entry
    if (events.length === 0) return snapshot
    entry.waiting = []
    entry.snapshot = { ...snapshot, seq: snapshot.seq + 1 }
    const { id: job, seq } = entry.snapshot
    this.#emit(entry.snapshot, { job, seq, events })
    return entry.snapshot
  }

  #emit(job: JobSnapshot, update: JobUpdate): void {
    for (const listener of this.#listeners) listener(job, update)
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
