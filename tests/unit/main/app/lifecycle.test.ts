import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { identify, orGiveUp, quitAfter } from '../../../../src/main/app/lifecycle'
import type { FakeElectron } from '../../../support/fakeElectron'

vi.mock('electron', async () => {
  const { fakeElectron } = await import('../../../support/fakeElectron')
  return fakeElectron()
})

const electron = (await import('electron')) as unknown as FakeElectron

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lesa-lifecycle-'))
  electron.app.reset()
  electron.dialog.showErrorBox.mockClear()
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('what the program is known by', () => {
  it('is the same for the system and for the installer', () => {
    identify(folder)
    const root = join(import.meta.dirname, '../../../..')
    const config = readFileSync(join(root, 'electron-builder.yml'), 'utf8')
    expect(config).toContain(`appId: ${electron.app.userModelId}\n`)
  })

  it('leaves no folder of Chromium’s beside ours, whatever a file system makes of its case', () => {
    const user = join(folder, 'not', 'there', 'yet')
    identify(user)
    const { paths } = electron.app
    expect(paths.get('userData')).toBe(user)
    // The folder that Chromium fills with its `Cache`, `Local Storage` and the like.
    expect(paths.get('sessionData')).toBe(join(user, 'chromium'))
  })
})

describe('what the program cannot be without', () => {
  it('is no matter when it works', async () => {
    const done = Promise.resolve()
    orGiveUp(() => done)
    await done
    expect(electron.app.exitCode).toBeNull()
  })

  it.each([
    ['at once', (error: AppError) => orGiveUp(() => raise(error))],
    ['later', (error: AppError) => orGiveUp(() => Promise.reject(error))],
  ])('is told, and ends the program, when it fails %s', async (_when, fail) => {
    fail(new AppError('not_found', 'There is no bundle.', { hint: 'Install it again.' }))
    await vi.waitFor(() => expect(electron.app.exitCode).toBe(1))
    expect(electron.dialog.showErrorBox).toHaveBeenCalledExactlyOnceWith(
      'LESA Workbench cannot start',
      'There is no bundle.\n\nInstall it again.',
    )
  })

  it('includes the person’s folder', async () => {
    writeFileSync(join(folder, 'taken'), '')
    orGiveUp(() => identify(join(folder, 'taken', 'user')))
    await vi.waitFor(() => expect(electron.app.exitCode).toBe(1))
  })
})

function raise(error: AppError): never {
  throw error
}

describe('quitting', () => {
  it('waits for the clean-up, however often it is asked for', async () => {
    let finish!: () => void
    const cleanUp = vi.fn(() => new Promise<void>((resolve) => (finish = resolve)))
    quitAfter(cleanUp)
    electron.app.quit()
    electron.app.quit()
    expect(cleanUp).toHaveBeenCalledOnce()
    expect(electron.app.exitCode).toBeNull()
    finish()
    await vi.waitFor(() => expect(electron.app.exitCode).toBe(0))
  })

  it('does not depend on the clean-up’s success', async () => {
    const said = vi.spyOn(console, 'error').mockImplementation(() => {})
    quitAfter(() => Promise.reject(new Error('The disk is full.')))
    electron.app.quit()
    await vi.waitFor(() => expect(electron.app.exitCode).toBe(0))
    expect(said).toHaveBeenCalledOnce()
    said.mockRestore()
  })

  it('does not wait for one that never ends', async () => {
    quitAfter(() => new Promise(() => {}), 1)
    electron.app.quit()
    await vi.waitFor(() => expect(electron.app.exitCode).toBe(0))
  })
})
