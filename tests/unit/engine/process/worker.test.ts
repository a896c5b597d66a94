import type { EngineAnswer, EngineCalls, EngineRequest } from '@shared/engineProtocol'
import { AppError } from '@shared/errors'
import type { JobEvent, JobResult } from '@shared/jobs'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { EnginePort } from '../../../../src/main/engine/process/port'
import { EngineWorker, type WorkerTasks } from '../../../../src/main/engine/process/worker'
import { expandSpec } from '../../../support/specs'

class FakePort implements EnginePort {
  readonly sent: EngineAnswer[] = []
  receive!: (request: EngineRequest) => void
  close!: () => void
  readonly #waiting: { type: string; resolve: (answer: EngineAnswer) => void }[] = []

  send(message: EngineAnswer): Promise<void> {
    this.sent.push(message)
    for (const { type, resolve } of this.#waiting) if (message.type === type) resolve(message)
    return Promise.resolve()
  }

  onRequest(listener: (request: EngineRequest) => void): void {
    this.receive = listener
  }

  onClose(listener: () => void): void {
    this.close = listener
  }

  /** Resolves with the next message of a type. */
  next(type: EngineAnswer['type']): Promise<EngineAnswer> {
    return new Promise((resolve) => this.#waiting.push({ type, resolve }))
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve())
  })

const log = (text: string): JobEvent => ({ type: 'log', level: 'info', text })
const result: JobResult = { kind: 'evaluate', results: [] }

let port: FakePort
let exit: ReturnType<typeof vi.fn<(code: number) => void>>

/** What the worker answers to a job, from its start on. */
function startJob(runJob: WorkerTasks['runJob']): {
  worker: EngineWorker
  end: Promise<EngineAnswer>
  first: Promise<EngineAnswer>
} {
  const worker = start({ runJob })
  const [first, end] = [port.next('job:event'), port.next('job:end')]
  port.receive({ type: 'job:start', jobId: 'a', spec: expandSpec(), workDir: '/work' })
  return { worker, end, first }
}

const unused = (): never => {
  throw new Error('not asked for')
}

/** Calls of which the named ones answer. */
function calls(answering: Partial<EngineCalls> = {}): EngineCalls {
  return {
    inspect: unused,
    devices: unused,
    versions: unused,
    identify: unused,
    fingerprint: unused,
    recipes: unused,
    config: unused,
    tensors: unused,
    tensor: unused,
    growth: unused,
    estimate: unused,
    projection: unused,
    exportPreview: unused,
    ...answering,
  }
}

function start(tasks: Partial<WorkerTasks>): EngineWorker {
  const engineCalls = calls()
  const worker = new EngineWorker(port, { runJob: unused, engineCalls, ...tasks }, exit)
  worker.start()
  return worker
}

beforeEach(() => {
  port = new FakePort()
  exit = vi.fn<(code: number) => void>()
})

describe('jobs', () => {
  it('tell their events, then their result', async () => {
    const { end } = startJob(async function* (spec, { workDir }) {
      yield log(`${spec.kind} in ${workDir}`)
      await Promise.resolve()
      return result
    })
    await end
    expect(port.sent).toEqual([
      { type: 'ready' },
      { type: 'job:event', jobId: 'a', event: log('expand in /work') },
      { type: 'job:end', jobId: 'a', outcome: { state: 'succeeded', result } },
    ])
  })

  it('fail with what was thrown', async () => {
    // eslint-disable-next-line require-yield, @typescript-eslint/require-await
    const { end } = startJob(async function* () {
      throw new AppError('numeric_failure', 'NaN.', { context: { stage: 'train' } })
    })
    expect(await end).toMatchObject({
      outcome: { state: 'failed', error: { code: 'numeric_failure', context: { stage: 'train' } } },
    })
  })

  it('see a cancel between two events without giving way themselves', async () => {
    const { first, end } = startJob(async function* (_spec, { signal }) {
      // Micro-tasks only: a message would never be read while this runs, were it not for the worker.
      for (;;) {
        signal.throwIfAborted()
        yield log('on')
        await Promise.resolve()
      }
    })
    await first
    setImmediate(() => port.receive({ type: 'job:cancel', jobId: 'a' }))
    expect(await end).toMatchObject({ outcome: { state: 'cancelled' } })
  })

  it.each([
    ['the reason', (signal: AbortSignal): unknown => signal.reason],
    ["another function's AbortError", () => new DOMException('Aborted.', 'AbortError')],
  ])('are cancelled when %s comes after the abort', async (_what, make) => {
    const { first, end } = startJob(async function* (_spec, { signal }) {
      yield log('on')
      await aborted(signal)
      throw make(signal)
    })
    await first
    port.receive({ type: 'job:cancel', jobId: 'a' })
    expect(await end).toMatchObject({ outcome: { state: 'cancelled' } })
  })

  it('keep what they have when they are asked to pause, and end there', async () => {
    const { first, end } = startJob(async function* (_spec, { signal, pauses }) {
      yield log('on')
      await aborted(pauses)
      expect(signal.aborted).toBe(false)
      yield log('kept')
      throw pauses.reason
    })
    await first
    port.receive({ type: 'job:pause', jobId: 'a' })
    expect(await end).toMatchObject({ outcome: { state: 'cancelled' } })
    expect(port.sent.at(-2)).toMatchObject({ event: { text: 'kept' } })
  })

  it('fail, not cancelled, when something else goes wrong after the abort, or it comes by itself', async () => {
    const wrong = startJob(async function* (_spec, { signal }) {
      yield log('on')
      await aborted(signal)
      throw new AppError('write_failed', 'Disk gone.')
    })
    await wrong.first
    port.receive({ type: 'job:cancel', jobId: 'a' })
    expect(await wrong.end).toMatchObject({
      outcome: { state: 'failed', error: { code: 'write_failed' } },
    })

    // eslint-disable-next-line require-yield, @typescript-eslint/require-await
    const { end } = startJob(async function* () {
      throw new DOMException('Aborted.', 'AbortError')
    })
    expect(await end).toMatchObject({ outcome: { state: 'failed', error: { code: 'bug' } } })
  })

  it('succeed when they have finished in spite of a cancel', async () => {
    const { first, end } = startJob(async function* (_spec, { signal }) {
      yield log('on')
      await aborted(signal)
      return result
    })
    await first
    port.receive({ type: 'job:cancel', jobId: 'a' })
    expect(await end).toMatchObject({ outcome: { state: 'succeeded' } })
  })
})

describe('calls', () => {
  it('are answered, and refused, by their number', async () => {
    start({
      engineCalls: calls({
        inspect: (path) => Promise.reject(new AppError('not_found', path)),
        devices: () => Promise.resolve([]),
      }),
    })
    const first = port.next('answer')
    port.receive({ type: 'call', id: 1, name: 'devices', args: [] })
    expect(await first).toEqual({ type: 'answer', id: 1, ok: true, value: [] })
    const second = port.next('answer')
    port.receive({ type: 'call', id: 2, name: 'inspect', args: ['/m'] })
    expect(await second).toMatchObject({
      id: 2,
      ok: false,
      error: { code: 'not_found', message: '/m' },
    })
  })
})

describe('the end', () => {
  const untilAborted: WorkerTasks['runJob'] = async function* (_spec, { signal }) {
    yield log('on')
    await aborted(signal)
    throw signal.reason
  }

  it('comes when the parent has gone, after the jobs have cleaned up', async () => {
    const steps: string[] = []
    exit.mockImplementation(() => steps.push('exit'))
    const { first } = startJob(async function* (_spec, env) {
      try {
        return yield* untilAborted(_spec, env)
      } finally {
        await Promise.resolve()
        steps.push('cleaned up')
      }
    })
    await first
    port.close()
    await vi.waitFor(() => expect(steps).toEqual(['cleaned up', 'exit']))
    expect(exit).toHaveBeenCalledExactlyOnceWith(0)
  })

  it('comes after what nobody caught, and fails the job first', async () => {
    const silence = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const { worker, first, end } = startJob(untilAborted)
    await first
    await worker.fail(new TypeError('odd'))
    await worker.fail(new TypeError('again'))
    expect(await end).toMatchObject({
      outcome: { state: 'failed', error: { code: 'bug', message: 'odd' } },
    })
    expect(exit).toHaveBeenCalledExactlyOnceWith(1)
    expect(silence).toHaveBeenCalledWith(expect.stringContaining('TypeError: odd'))
    silence.mockRestore()
  })
})
