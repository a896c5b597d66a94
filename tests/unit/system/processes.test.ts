import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { beginByPs, beginOf, isAlive } from '@system/processes'
import { afterEach, describe, expect, it, vi } from 'vitest'

const onLinux = process.platform === 'linux'

const failing = (code: string): void => {
  vi.spyOn(process, 'kill').mockImplementation(() => {
    throw Object.assign(new Error(code), { code })
  })
}

afterEach(() => void vi.restoreAllMocks())

describe('a process', () => {
  it('is alive until it has ended', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    await once(child, 'spawn')
    const pid = child.pid ?? 0
    const begin = beginOf(pid)
    expect([isAlive(pid), isAlive(pid, begin)]).toEqual([true, true])
    // Another process that has its number by now.
    if (begin !== null) expect(isAlive(pid, `${begin}0`)).toBe(false)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect([isAlive(pid), beginOf(pid)]).toEqual([false, null])
  })

  it('is alive when it is this one', () => {
    expect(isAlive(process.pid)).toBe(true)
    expect(isAlive(process.pid, beginOf(process.pid))).toBe(true)
    expect(beginOf(process.pid) !== null).toBe(onLinux)
  })

  it.skipIf(process.platform === 'win32')('begins when ps says, where that is asked', () => {
    expect(beginByPs(process.pid)).toMatch(/^[A-Za-z]+-[A-Za-z0-9-]+-\d{4}$/)
    expect(beginByPs(process.pid)).toBe(beginByPs(process.pid))
    expect(beginByPs(2 ** 30)).toBeNull()
  })

  it.each([0, -1, -process.pid, 1.5, NaN, 2 ** 31, 2 ** 40])('is none of the number %s', (pid) => {
    expect(isAlive(pid)).toBe(false)
  })

  it('of somebody else is alive, and so is one in doubt', () => {
    failing('EPERM')
    expect(isAlive(process.ppid)).toBe(true)
    failing('EINVAL')
    expect(isAlive(process.ppid)).toBe(true)
    failing('ESRCH')
    expect(isAlive(process.ppid)).toBe(false)
  })

  it.runIf(onLinux)('of somebody else that began at another time is another one', () => {
    failing('EPERM')
    expect(isAlive(process.ppid, beginOf(process.ppid))).toBe(true)
    expect(isAlive(process.ppid, '1')).toBe(false)
  })

  it.runIf(onLinux)('that has ended and was not waited for has ended', async () => {
    // The shell starts a child and becomes a program that does not wait for it.
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'])
    try {
      const [output] = (await once(parent.stdout, 'data')) as [Buffer]
      const pid = Number(String(output))
      await vi.waitFor(
        async () => expect(await readFile(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n'),
        { timeout: 20_000 },
      )
      process.kill(pid, 'SIGKILL')
      await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 20_000 })
      // It has its number still.
      process.kill(pid, 0)
    } finally {
      parent.kill('SIGKILL')
    }
  })
})
