import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ErrorCode } from '@shared/errors'
import type { JobEvent } from '@shared/jobs'
import { beginOf } from '@system/processes'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { EngineClient } from '../../../../src/main/jobs/EngineClient'
import { NodeEngineProcess } from '../../../../src/main/jobs/NodeEngineProcess'
import { expandSpec } from '../../../support/specs'

const entry = join(import.meta.dirname, '../../../support/protocolEngine.mjs')

let folder: string
let client: EngineClient
let processes: NodeEngineProcess[]

/** What the protocol engine answers to `inspect`. */
interface Probe {
  readonly pid: number
  readonly env: readonly string[]
  readonly execArgv: readonly string[]
}

function makeClient(graceMs?: number): EngineClient {
  return new EngineClient(
    () => {
      const started = new NodeEngineProcess(entry)
      processes.push(started)
      return started
    },
    graceMs === undefined ? {} : { graceMs },
  )
}

async function probe(): Promise<Probe> {
  return (await client.call('inspect', '/model')) as unknown as Probe
}

function withCode(code: ErrorCode): unknown {
  return expect.objectContaining({ name: 'AppError', code }) as unknown
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lesa-client-'))
  processes = []
  client = makeClient()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await client.dispose()
  rmSync(folder, { recursive: true, force: true })
})

/** Starts a job and resolves when it has said something. */
function startJob(model: string, signal?: AbortSignal) {
  const out = join(folder, 'out')
  let begun!: () => void
  const running = new Promise<void>((resolve) => (begun = resolve))
  const events: JobEvent[] = []
  const result = client.runJob(expandSpec({ model, out }), {
    ...(signal ? { signal } : {}),
    onEvent: (event) => {
      events.push(event)
      begun()
    },
  })
  return { out, events, running, result }
}

describe('a job that is cancelled while the engine starts', () => {
  it('has ended at once, though the engine may never be ready', async () => {
    const silent = join(folder, 'silent.mjs')
    writeFileSync(silent, 'setInterval(() => {}, 1000)')
    client = new EngineClient(() => new NodeEngineProcess(silent))
    const controller = new AbortController()
    const job = startJob('/ok', controller.signal)
    controller.abort()
    expect(await job.result).toEqual({ state: 'cancelled' })
  })
})

describe('calls', () => {
  it('start the process only when it is needed, and share it', async () => {
    expect(processes).toHaveLength(0)
    const [first, second] = await Promise.all([probe(), probe()])
    expect(first.pid).toBe(second.pid)
    expect(processes).toHaveLength(1)
  })

  it('reject with what the engine answered', async () => {
    await expect(client.call('inspect', '/missing')).rejects.toMatchObject({
      code: 'not_found',
      message: 'There is no model.',
      context: { file: '/missing' },
    })
  })

  it('get no variable that would change how the child runs', async () => {
    vi.stubEnv('NODE_OPTIONS', '--no-warnings')
    vi.stubEnv('ELECTRON_RUN_AS_NODE', '1')
    vi.stubEnv('LESA_TEST_VARIABLE', 'kept')
    const { env, execArgv } = await probe()
    expect(env).toContain('LESA_TEST_VARIABLE')
    expect(env).not.toContain('NODE_OPTIONS')
    expect(env).not.toContain('ELECTRON_RUN_AS_NODE')
    expect(execArgv).toEqual([])
  })

  it('reject with engine_crashed when the process is killed, and the next one works', async () => {
    const before = await probe()
    await expect(client.call('inspect', '/crash')).rejects.toMatchObject({
      code: 'engine_crashed',
      context: { actual: expect.stringMatching(/SIGKILL|exit code/) as unknown },
    })
    const after = await probe()
    expect(after.pid).not.toBe(before.pid)
  })

  it('reject with engine_crashed when the process cannot start', async () => {
    const broken = new EngineClient(() => new NodeEngineProcess(join(folder, 'missing.mjs')))
    await expect(broken.call('devices')).rejects.toMatchObject({
      code: 'engine_crashed',
      message: expect.stringContaining('missing.mjs') as unknown,
    })
    await broken.dispose()
  })

  it('reject after dispose', async () => {
    await probe()
    await client.dispose()
    await expect(client.call('devices')).rejects.toEqual(withCode('engine_crashed'))
    expect(processes).toHaveLength(1)
  })
})

describe('jobs', () => {
  it('tell their events in order and end with the result', async () => {
    const { events, result } = startJob('/ok')
    expect(await result).toMatchObject({ state: 'succeeded', result: { kind: 'evaluate' } })
    expect(events.map(({ type }) => type)).toEqual(['log', 'metric'])
    // Structured clone: JSON would have made it null.
    expect(events[1]).toMatchObject({ y: [Number.NaN] })
  })

  it('end with what they failed with', async () => {
    expect(await startJob('/fail').result).toMatchObject({
      state: 'failed',
      error: { code: 'bad_checkpoint', hint: 'Try.' },
    })
  })

  it('end with engine_crashed, the exit code and the last output, and leave nothing behind', async () => {
    const { out, result } = startJob('/crash')
    expect(await result).toMatchObject({
      state: 'failed',
      error: {
        code: 'engine_crashed',
        message: expect.stringMatching(/exit code 134[^]*out of sorts/) as unknown,
        hint: expect.any(String) as unknown,
      },
    })
    expect(existsSync(`${out}.partial`)).toBe(false)
    expect(await startJob('/ok').result).toMatchObject({ state: 'succeeded' })
  })

  it('end with why the engine could not be started', async () => {
    await client.dispose()
    expect(await client.runJob(expandSpec(), { onEvent: () => undefined })).toEqual({
      state: 'cancelled',
    })
    const broken = new EngineClient(() => new NodeEngineProcess(join(folder, 'missing.mjs')))
    expect(await broken.runJob(expandSpec(), { onEvent: () => undefined })).toMatchObject({
      state: 'failed',
      error: { code: 'engine_crashed' },
    })
    await broken.dispose()
  })

  it('leave the unfinished output of another program alone', async () => {
    const partial = join(folder, 'out.partial')
    mkdirSync(partial)
    // Of the process that runs the tests.
    const begin = beginOf(process.ppid) ?? undefined
    const owner = { token: 't', pid: process.ppid, host: hostname(), begin }
    writeFileSync(join(folder, 'out.partial.lock'), JSON.stringify(owner))
    expect(await startJob('/crash').result).toMatchObject({ error: { code: 'engine_crashed' } })
    expect(existsSync(partial)).toBe(true)
  })
})

describe('pausing', () => {
  it.each(['while it runs', 'before it has started'])('asks the job, %s', async (when) => {
    const pauses = new AbortController()
    if (when !== 'while it runs') pauses.abort()
    const events: JobEvent[] = []
    const result = client.runJob(expandSpec({ model: '/pauses' }), {
      pauses: pauses.signal,
      onEvent: (event) => {
        events.push(event)
        pauses.abort()
      },
    })
    expect(await result).toEqual({ state: 'cancelled' })
    expect(events.at(-1)).toMatchObject({ text: 'kept' })
  })
})

describe('cancelling', () => {
  it('lets the job clean up and keeps the process', async () => {
    const controller = new AbortController()
    const { out, running, result } = startJob('/polite', controller.signal)
    await running
    const { pid } = await probe()
    controller.abort()
    expect(await result).toEqual({ state: 'cancelled' })
    expect(existsSync(`${out}.partial`)).toBe(false)
    expect((await probe()).pid).toBe(pid)
  })

  it('ends a process that does not listen, and removes what it left', async () => {
    client = makeClient(1)
    const controller = new AbortController()
    const { out, running, result } = startJob('/stubborn', controller.signal)
    await running
    expect(existsSync(`${out}.partial`)).toBe(true)
    // Asked while the engine is deaf: it is asked again in the next process.
    const waiting = probe()
    controller.abort()
    expect(await result).toEqual({ state: 'cancelled' })
    expect(existsSync(`${out}.partial`)).toBe(false)
    await expect(waiting).resolves.toMatchObject({ pid: processes[1]?.pid })
  })

  it('before the start starts nothing', async () => {
    expect(await startJob('/ok', AbortSignal.abort()).result).toEqual({ state: 'cancelled' })
    expect(processes).toHaveLength(0)
  })

  it('happens on dispose, which waits for the clean-up', async () => {
    const { out, running, result } = startJob('/polite')
    await running
    await client.dispose()
    expect(await result).toEqual({ state: 'cancelled' })
    expect(existsSync(`${out}.partial`)).toBe(false)
  })
})
