import { randomUUID } from 'node:crypto'
import {
  NOT_LOADED,
  type EngineAnswer,
  type EngineCallArguments,
  type EngineCallName,
  type EngineCallResult,
  type EngineRequest,
} from '@shared/engineProtocol'
import { AppError, toAppError } from '@shared/errors'
import type { JobEvent, JobOutcome, JobSpec } from '@shared/jobs'
import type { EngineExit, EngineProcess } from './EngineProcess'
import { clearOutput } from './output'

export interface EngineClientOptions {
  /** How long a cancelled job may take to end by itself before its process is ended. Default 5 s. */
  readonly graceMs?: number
  /** How long a process that was ended may take to be gone before it is given up. Default 5 s. */
  readonly killedMs?: number
}

export interface RunJobOptions {
  readonly jobId?: string
  readonly workDir?: string
  readonly recordDir?: string
  /** Aborting it cancels the job. */
  readonly signal?: AbortSignal
  /** Aborting it asks the job to keep what it has and to end, of a kind that does so. */
  readonly pauses?: AbortSignal
  readonly onEvent: (event: JobEvent) => void
}

const DEFAULT_GRACE_MS = 5_000
const DEFAULT_KILLED_MS = 5_000

const CANCELLED: JobOutcome = { state: 'cancelled' }

/**
 * Supervises the engine's process: starts it when it is first needed, starts it again after a crash, and settles
 * whatever was in flight.
 */
export class EngineClient {
  readonly #spawn: () => EngineProcess
  readonly #graceMs: number
  readonly #killedMs: number
  /** The process in use; `null` until it is needed and after it has gone. */
  #session: EngineSession | null = null
  readonly #shutdown = new AbortController()
  readonly #running = new Set<Promise<unknown>>()

  constructor(spawn: () => EngineProcess, options: EngineClientOptions = {}) {
    this.#spawn = spawn
    this.#graceMs = options.graceMs ?? DEFAULT_GRACE_MS
    this.#killedMs = options.killedMs ?? DEFAULT_KILLED_MS
  }

  /** @throws AppError what the engine answered, or `engine_crashed`. */
  async call<C extends EngineCallName>(
    name: C,
    ...args: EngineCallArguments<C>
  ): Promise<EngineCallResult<C>> {
    for (;;) {
      const session = await this.#connect()
      try {
        return (await session.call(name, args)) as EngineCallResult<C>
      } catch (thrown) {
        // The process was ended to stop another job, and this call does no harm when it is made again.
        if (!session.killed || this.#shutdown.signal.aborted) throw thrown
      }
    }
  }

  /**
   * Runs a job to its end, whichever that is; it never rejects. Cancelling is a ladder: the engine is told, and when the
   * job has not ended after the grace period its process is ended and its unfinished output removed.
   */
  runJob(spec: JobSpec, options: RunJobOptions): Promise<JobOutcome> {
    const signal = AbortSignal.any([
      this.#shutdown.signal,
      ...(options.signal ? [options.signal] : []),
    ])
    const running = this.#runJob(spec, options, signal).catch((thrown): JobOutcome => {
      if (signal.aborted) return CANCELLED
      return { state: 'failed', error: toAppError(thrown).toData() }
    })
    this.#running.add(running)
    void running.then(() => this.#running.delete(running))
    return running
  }

  /** Cancels what runs, waits for it to clean up, and ends the process; the client cannot be used afterwards. */
  async dispose(): Promise<void> {
    this.#shutdown.abort()
    const session = this.#session
    // One that has not started yet has no job that could clean up behind itself, and may never start.
    if (session && !session.isReady) session.kill()
    await Promise.all(this.#running)
    session?.kill()
    await session?.gone
  }

  async #runJob(spec: JobSpec, options: RunJobOptions, signal: AbortSignal): Promise<JobOutcome> {
    if (signal.aborted) return CANCELLED
    const session = await orAborted(this.#connect(), signal)
    if (session === null || signal.aborted) return CANCELLED

    const jobId = options.jobId ?? randomUUID()
    let grace: NodeJS.Timeout | undefined
    const cancel = (): void => {
      session.send({ type: 'job:cancel', jobId })
      grace = setTimeout(() => session.kill(), this.#graceMs)
    }
    const pause = (): void => session.send({ type: 'job:pause', jobId })
    signal.addEventListener('abort', cancel, { once: true })
    options.pauses?.addEventListener('abort', pause, { once: true })
    try {
      const running = session.runJob(jobId, spec, options)
      // It was asked while the engine started.
      if (options.pauses?.aborted === true) pause()
      return await running
    } catch (thrown) {
      // The engine could not clean up behind the job.
      if (session.lost) await clearOutput(spec)
      throw thrown
    } finally {
      clearTimeout(grace)
      signal.removeEventListener('abort', cancel)
      options.pauses?.removeEventListener('abort', pause)
    }
  }

  async #connect(): Promise<EngineSession> {
    for (;;) {
      if (this.#shutdown.signal.aborted) {
        throw new AppError('engine_crashed', 'The engine has been shut down.')
      }
      if (!this.#session) {
        const session = new EngineSession(this.#spawn(), this.#killedMs)
        this.#session = session
        void session.gone.then(() => {
          if (this.#session === session) this.#session = null
        })
      }
      const session = this.#session
      if (session.killed) {
        // It may still hold the device and the files; the next one starts when it has gone.
        await session.gone
        continue
      }
      await session.ready
      return session
    }
  }
}

/** What a promise gives; `null` as soon as the signal is aborted, whatever becomes of the promise then. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(null)
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

interface Deferred<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: AppError) => void
}

interface JobInFlight extends Deferred<JobOutcome> {
  readonly onEvent: (event: JobEvent) => void
}

/** One life of the engine's process. */
class EngineSession {
  /** Resolves when the engine listens; rejects with `engine_crashed` when it ends before. */
  readonly ready: Promise<void>
  /** Resolves when the process has ended. */
  readonly gone: Promise<void>
  /** It has said that it listens. */
  isReady = false
  /** We ended it. */
  killed = false
  /** It has ended, one way or the other. */
  lost = false

  readonly #process: EngineProcess
  readonly #killedMs: number
  readonly #calls = new Map<number, Deferred<unknown>>()
  readonly #jobs = new Map<string, JobInFlight>()
  #crash: AppError | null = null
  #nextCall = 1
  #givingUp: NodeJS.Timeout | undefined
  #starting!: Deferred<void>
  #leaving!: () => void

  constructor(process: EngineProcess, killedMs: number) {
    this.#process = process
    this.#killedMs = killedMs
    this.ready = new Promise((resolve, reject) => (this.#starting = { resolve, reject }))
    // Whoever waits for it sees the rejection; nobody may be waiting.
    this.ready.catch(() => {})
    this.gone = new Promise((resolve) => (this.#leaving = resolve))
    process.onAnswer((answer) => this.#receive(answer))
    process.onExit((exit) => this.#end(exit))
  }

  send(request: EngineRequest): void {
    if (!this.lost) this.#process.send(request)
  }

  /** Ends the process. What waits for it goes on when it has gone, or after a while all the same. */
  kill(): void {
    if (this.lost || this.killed) return
    this.killed = true
    this.#givingUp = setTimeout(
      () => this.#end({ code: null, signal: null, reason: 'it does not end', stderr: '' }),
      this.#killedMs,
    )
    this.#process.kill()
  }

  call(name: EngineCallName, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#crash) return reject(this.#crash)
      const id = this.#nextCall
      this.#nextCall += 1
      this.#calls.set(id, { resolve, reject })
      this.send({ type: 'call', id, name, args } as EngineRequest)
    })
  }

  runJob(
    jobId: string,
    spec: JobSpec,
    { workDir, recordDir, onEvent }: Pick<RunJobOptions, 'workDir' | 'recordDir' | 'onEvent'>,
  ): Promise<JobOutcome> {
    return new Promise((resolve, reject) => {
      if (this.#crash) return reject(this.#crash)
      this.#jobs.set(jobId, { resolve, reject, onEvent })
      this.send({
        type: 'job:start',
        jobId,
        spec,
        ...(workDir === undefined ? {} : { workDir }),
        ...(recordDir === undefined ? {} : { recordDir }),
      })
    })
  }

  #receive(answer: EngineAnswer): void {
    switch (answer.type) {
      case 'ready':
        this.isReady = true
        this.#starting.resolve()
        return
      case 'answer': {
        const call = this.#calls.get(answer.id)
        this.#calls.delete(answer.id)
        if (answer.ok) call?.resolve(answer.value)
        else call?.reject(AppError.fromData(answer.error))
        return
      }
      case 'job:event':
        this.#jobs.get(answer.jobId)?.onEvent(answer.event)
        return
      case 'job:end': {
        const job = this.#jobs.get(answer.jobId)
        this.#jobs.delete(answer.jobId)
        job?.resolve(answer.outcome)
      }
    }
  }

  #end(exit: EngineExit): void {
    if (this.lost) return
    this.lost = true
    clearTimeout(this.#givingUp)
    const crash = crashError(exit)
    this.#crash = crash
    this.#leaving()
    this.#starting.reject(crash)
    for (const { reject } of this.#calls.values()) reject(crash)
    for (const { reject } of this.#jobs.values()) reject(crash)
    this.#calls.clear()
    this.#jobs.clear()
  }
}

/** Nothing in the process itself ends it so. */
const FROM_OUTSIDE: readonly string[] = ['SIGKILL', 'SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT']

function crashError({ code, signal, reason, stderr }: EngineExit): AppError {
  const how = reason ?? (signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}`)
  if (signal !== null && FROM_OUTSIDE.includes(signal)) {
    // What it had written before says nothing of why: it was not asked.
    return new AppError('engine_crashed', `The engine was ended from outside (${how}).`, {
      hint: 'The system does that when memory runs out: close other programs, or set a memory limit. The engine starts again with the next job.',
      context: { actual: how, ...(stderr === '' ? {} : { output: stderr }) },
    })
  }
  if (code === NOT_LOADED) {
    return new AppError('system_failed', `The engine cannot start. ${stderr}`.trim(), {
      context: { actual: how },
    })
  }
  const tail = stderr === '' ? '' : `\n${stderr}`
  return new AppError('engine_crashed', `The engine stopped unexpectedly (${how}).${tail}`, {
    hint: 'It starts again with the next job. If memory ran out, close other programs or choose another device.',
    context: { actual: how },
  })
}
