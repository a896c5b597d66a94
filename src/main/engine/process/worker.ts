import type { EngineCalls, EngineRequest } from '@shared/engineProtocol'
import { toAppError } from '@shared/errors'
import type { JobEvent, JobOutcome, JobResult, JobSpec } from '@shared/jobs'
import type { EnginePort } from './port'

/** How long a job may take to clean up after the parent has gone. */
const UNWIND_MS = 5_000

export interface WorkerTasks {
  runJob(
    spec: JobSpec,
    env: {
      readonly signal: AbortSignal
      readonly pauses: AbortSignal
      readonly workDir?: string
      readonly recordDir?: string
    },
  ): AsyncGenerator<JobEvent, JobResult>
  readonly engineCalls: EngineCalls
}

interface RunningJob {
  readonly cancels: AbortController
  readonly pauses: AbortController
  readonly done: Promise<void>
}

/** What ends a job from outside. */
type Stops = Readonly<Record<'signal' | 'pauses', AbortSignal>>

/** Serves one parent: answers its calls, runs its jobs, and ends when it goes. */
export class EngineWorker {
  readonly #port: EnginePort
  readonly #tasks: WorkerTasks
  readonly #exit: (code: number) => void
  readonly #jobs = new Map<string, RunningJob>()
  #failing = false

  constructor(port: EnginePort, tasks: WorkerTasks, exit: (code: number) => void) {
    this.#port = port
    this.#tasks = tasks
    this.#exit = exit
  }

  start(): void {
    this.#port.onRequest((request) => this.#receive(request))
    this.#port.onClose(() => void this.#leave())
    void this.#port.send({ type: 'ready' })
  }

  /**
   * Something was thrown outside of any call or job: what state the engine is in is unknown, so every job ends as
   * failed and the process with it.
   */
  async fail(thrown: unknown): Promise<void> {
    if (this.#failing) return
    this.#failing = true
    const error = toAppError(thrown).toData()
    process.stderr.write(`${error.stack ?? error.message}\n`)
    const jobs = [...this.#jobs.keys()]
    this.#jobs.clear()
    await Promise.all(
      jobs.map((jobId) =>
        this.#port.send({ type: 'job:end', jobId, outcome: { state: 'failed', error } }),
      ),
    )
    this.#exit(1)
  }

  #receive(request: EngineRequest): void {
    switch (request.type) {
      case 'call':
        void this.#answer(request)
        return
      case 'job:start': {
        const cancels = new AbortController()
        const pauses = new AbortController()
        // The promise is stored before the job's first step, so that a cancel can never miss it.
        const done = Promise.resolve().then(() =>
          this.#run(request, { signal: cancels.signal, pauses: pauses.signal }),
        )
        this.#jobs.set(request.jobId, { cancels, pauses, done })
        return
      }
      case 'job:cancel':
        this.#jobs.get(request.jobId)?.cancels.abort()
        return
      case 'job:pause':
        this.#jobs.get(request.jobId)?.pauses.abort()
    }
  }

  async #answer(request: Extract<EngineRequest, { type: 'call' }>): Promise<void> {
    const { id } = request
    try {
      // The request's type ties the arguments to the name.
      const call = this.#tasks.engineCalls[request.name] as (...args: unknown[]) => Promise<unknown>
      const value = await call(...request.args)
      await this.#port.send({ type: 'answer', id, ok: true, value })
    } catch (thrown) {
      await this.#port.send({ type: 'answer', id, ok: false, error: toAppError(thrown).toData() })
    }
  }

  async #run(
    request: Extract<EngineRequest, { type: 'job:start' }>,
    signals: Stops,
  ): Promise<void> {
    const { jobId } = request
    const outcome = await this.#drive(request, signals)
    // Gone from the map: the process is failing and has said so.
    if (!this.#jobs.delete(jobId)) return
    await this.#port.send({ type: 'job:end', jobId, outcome })
  }

  async #drive(
    { jobId, spec, workDir, recordDir }: Extract<EngineRequest, { type: 'job:start' }>,
    { signal, pauses }: Stops,
  ): Promise<JobOutcome> {
    try {
      const job = this.#tasks.runJob(spec, {
        signal,
        pauses,
        ...(workDir === undefined ? {} : { workDir }),
        ...(recordDir === undefined ? {} : { recordDir }),
      })
      for (;;) {
        const next = await job.next()
        if (next.done) return { state: 'succeeded', result: next.value }
        await this.#port.send({ type: 'job:event', jobId, event: next.value })
        // A whole turn of the event loop, in which a waiting cancel is read.
        await new Promise((resolve) => setImmediate(resolve))
      }
    } catch (thrown) {
      if ((signal.aborted || pauses.aborted) && isAbort(thrown)) return { state: 'cancelled' }
      return { state: 'failed', error: toAppError(thrown).toData() }
    }
  }

  /** The parent has gone: jobs get a moment to remove their unfinished output, then the process ends. */
  async #leave(): Promise<void> {
    const jobs = [...this.#jobs.values()]
    for (const { cancels } of jobs) cancels.abort()
    const limit = setTimeout(() => this.#exit(0), UNWIND_MS)
    await Promise.all(jobs.map(({ done }) => done))
    clearTimeout(limit)
    this.#exit(0)
  }
}

/** What aborting throws, here or in one of Node's own functions; jobs unwind by it. */
function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError'
}
