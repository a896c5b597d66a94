import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ElectronEngineProcess } from '../../../../src/main/jobs/ElectronEngineProcess'
import { EngineClient } from '../../../../src/main/jobs/EngineClient'
import type { EngineExit } from '../../../../src/main/jobs/EngineProcess'
import { FakeUtilityProcess, tellGone, type FakeElectron } from '../../../support/fakeElectron'
import { expandSpec } from '../../../support/specs'

vi.mock('electron', async () => {
  const { fakeElectron } = await import('../../../support/fakeElectron')
  return fakeElectron()
})

const { app } = (await import('electron')) as unknown as FakeElectron
const entry = join(import.meta.dirname, '../../../support/protocolEngine.mjs')

let folder: string
let client: EngineClient

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lesa-electron-engine-'))
  FakeUtilityProcess.made = []
  FakeUtilityProcess.launch = 'soon'
  client = new EngineClient(() => new ElectronEngineProcess(entry))
})

afterEach(async () => {
  await client.dispose()
  rmSync(folder, { recursive: true, force: true })
})

/** The process that was made last. */
function newest(): FakeUtilityProcess {
  const child = FakeUtilityProcess.made.at(-1)
  if (!child) throw new Error('No process has been made.')
  return child
}

function probe(): Promise<unknown> {
  return client.call('inspect', '/model')
}

describe('an engine under Electron', () => {
  it('answers, and ends when the client does', async () => {
    expect(await probe()).toMatchObject({ path: '/model' })
    const { pid } = newest()
    await client.dispose()
    expect(() => process.kill(pid ?? 0, 0)).toThrow()
    expect(app.listenerCount('child-process-gone')).toBe(0)
  })

  it('is ended by a kill that came before it was there', async () => {
    FakeUtilityProcess.launch = 'when told'
    const engine = new ElectronEngineProcess(entry)
    const exit = new Promise<EngineExit>((resolve) => engine.onExit(resolve))
    engine.kill()
    newest().spawn()
    expect(await exit).toMatchObject({ code: expect.any(Number) as unknown })
  })

  it('does not keep anybody waiting that has been ended and does not start', async () => {
    FakeUtilityProcess.launch = 'when told'
    client = new EngineClient(() => new ElectronEngineProcess(entry), { killedMs: 1 })
    const asked = probe()
    const job = client.runJob(expandSpec({ out: join(folder, 'out') }), { onEvent: () => {} })
    await client.dispose()
    await expect(asked).rejects.toMatchObject({ code: 'engine_crashed' })
    expect(await job).toEqual({ state: 'cancelled' })
    // It comes to life after all, and is not left behind.
    const gone = new Promise((resolve) => newest().once('exit', resolve))
    newest().spawn()
    await gone
  })

  it('says that it could not be started', async () => {
    FakeUtilityProcess.launch = 'fails'
    await expect(probe()).rejects.toMatchObject({
      code: 'engine_crashed',
      message: expect.stringContaining('could not be started') as unknown,
    })
  })
})

describe('why an engine has ended', () => {
  const reasonOf = async (end: () => void): Promise<unknown> => {
    await probe()
    const asked = client.call('inspect', '/for ever').catch((error: unknown) => error)
    end()
    return asked
  }

  it('is a fatal error of V8, which is no exception in this process', async () => {
    expect(await reasonOf(() => newest().failFatally('Builtins_ArrayPush'))).toMatchObject({
      code: 'engine_crashed',
      context: { actual: 'Builtins_ArrayPush' },
    })
    expect(await probe()).toMatchObject({ path: '/model' })
  })

  it('is want of memory', async () => {
    expect(await reasonOf(() => newest().endBy('oom'))).toMatchObject({
      code: 'engine_crashed',
      context: { actual: 'out of memory' },
    })
  })

  it('is what is told of this engine, and not of another process', async () => {
    const told = await reasonOf(() => {
      tellGone(app, { reason: 'oom', exitCode: 1, name: 'LESA engine 0' })
      tellGone(app, { reason: 'oom', exitCode: 1, name: 'Network Service' })
      newest().endBy('crashed')
    })
    expect(told).toMatchObject({ context: { actual: 'crashed' } })
  })

  it('is told with the last output, which comes after the exit', async () => {
    const out = join(folder, 'out')
    const job = client.runJob(expandSpec({ model: '/crash', out }), { onEvent: () => {} })
    expect(await job).toMatchObject({
      state: 'failed',
      error: {
        code: 'engine_crashed',
        message: expect.stringContaining('out of sorts') as unknown,
      },
    })
    expect(existsSync(`${out}.partial`)).toBe(false)
  })
})
