import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExpandSpec, JobEvent } from '@shared/jobs'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EngineClient } from '../../src/main/jobs/EngineClient'
import { NodeEngineProcess } from '../../src/main/jobs/NodeEngineProcess'
import { built, PROJECT } from '../support/built'
import { expandSpec } from '../support/specs'

const engine = built('main/engine.js')
const model = join(PROJECT, 'resources/demo-model')

let folder: string
let out: string
let client: EngineClient
let processes: NodeEngineProcess[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lesa-engine-'))
  out = join(folder, 'grown')
  processes = []
  client = new EngineClient(() => {
    const started = new NodeEngineProcess(engine)
    processes.push(started)
    return started
  })
})

afterEach(async () => {
  await client.dispose()
  rmSync(folder, { recursive: true, force: true })
})

/** A job that goes on for minutes if nobody stops it. */
const longJob = (): ExpandSpec =>
  expandSpec({
    model,
    out,
    method: {
      name: 'lesa',
      useSvd: true,
      energy: 1,
      predictor: { ...PRESET_SETTINGS.matched, length: { unit: 'steps', value: 1_000_000 } },
    },
  })

/** Starts a long job and resolves when it trains. */
async function startLongJob(signal?: AbortSignal): Promise<{ result: Promise<unknown> }> {
  let training!: () => void
  const trains = new Promise<void>((resolve) => (training = resolve))
  const result = client.runJob(longJob(), {
    ...(signal ? { signal } : {}),
    onEvent: ({ type }) => {
      if (type === 'metric') training()
    },
  })
  // Looked at by the test; a failure before the training must not pass for one that is awaited.
  await Promise.race([trains, result])
  return { result }
}

describe('the built engine', () => {
  it('inspects a model and lists the devices', async () => {
    expect(await client.call('inspect', model)).toMatchObject({
      architecture: 'LlamaForCausalLM',
      num_hidden_layers: 12,
      supported: true,
    })
    const devices = await client.call('devices')
    expect(devices.find(({ device }) => device === 'cpu')).toMatchObject({ available: true })
    await expect(client.call('inspect', join(folder, 'nothing'))).rejects.toMatchObject({
      name: 'AppError',
      context: expect.anything() as unknown,
    })
    expect(processes).toHaveLength(1)
  })

  it('runs a job and tells how it goes', async () => {
    const events: JobEvent[] = []
    const outcome = await client.runJob(expandSpec({ model, out }), {
      onEvent: (event) => events.push(event),
    })
    expect(outcome).toMatchObject({
      state: 'succeeded',
      result: { kind: 'expand', out, num_hidden_layers: 18 },
    })
    expect(events[0]).toMatchObject({ type: 'plan' })
    const steps = new Set(events.flatMap((event) => (event.type === 'step' ? [event.id] : [])))
    const planned = events.flatMap((event) =>
      event.type === 'plan' ? event.steps.map(({ id }) => id) : [],
    )
    expect([...steps].every((id) => planned.includes(id))).toBe(true)
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as unknown
    expect(config).toMatchObject({ num_hidden_layers: 18 })
    expect(readdirSync(folder)).toEqual(['grown'])
  })

  it('killed in the middle of a job is engine_crashed, leaves nothing, and the next call works', async () => {
    const { result } = await startLongJob()
    expect(existsSync(`${out}.partial`)).toBe(true)
    process.kill(processes[0]?.pid ?? 0, 'SIGKILL')
    expect(await result).toMatchObject({
      state: 'failed',
      error: { code: 'engine_crashed', hint: expect.any(String) as unknown },
    })
    expect(readdirSync(folder)).toEqual([])
    expect(await client.call('inspect', model)).toMatchObject({ num_hidden_layers: 12 })
    expect(processes).toHaveLength(2)
  })

  it('stops a job in the middle when it is cancelled, leaves nothing, and lives on', async () => {
    const controller = new AbortController()
    const { result } = await startLongJob(controller.signal)
    controller.abort()
    expect(await result).toEqual({ state: 'cancelled' })
    expect(readdirSync(folder)).toEqual([])
    expect(await client.call('inspect', model)).toMatchObject({ num_hidden_layers: 12 })
    expect(processes).toHaveLength(1)
  })

  it.skipIf(process.platform === 'win32')(
    'is not ended by the terminal’s interrupt, which is for its parent to act on',
    async () => {
      await client.call('inspect', model)
      process.kill(processes[0]?.pid ?? 0, 'SIGINT')
      expect(await client.call('inspect', model)).toMatchObject({ num_hidden_layers: 12 })
      expect(processes).toHaveLength(1)
    },
  )

  it('ends when its parent disappears, and cleans up before', async () => {
    const parent = spawn(
      process.execPath,
      [join(PROJECT, 'tests/support/engineParent.mjs'), engine, JSON.stringify(longJob())],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await once(parent.stdout, 'data')
    expect(existsSync(`${out}.partial`)).toBe(true)
    parent.kill('SIGKILL')
    // Its output ends only when the engine, which shares it, has ended too.
    parent.stdout.resume()
    await once(parent, 'close')
    expect(readdirSync(folder)).toEqual([])
  })
})
