import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { beginOf } from '@system/processes'
import { describe, expect, it } from 'vitest'
import { lockProject } from '../../../../src/main/projects/projectLock'
import { trimWork, workBytes } from '../../../../src/main/projects/work'
import { tempFolder } from '../../../support/tempFolder'

const lockOf = (folder: string, pid: string): Promise<void> =>
  mkdir(join(folder, 'locks'), { recursive: true }).then(() =>
    writeFile(join(folder, 'locks', 'p.lock'), pid),
  )

describe('a lock', () => {
  it('is held by one, until it lets go', async () => {
    const folder = await tempFolder()
    const lock = await lockProject(folder, 'p', '/project')
    await expect(lockProject(folder, 'p', '/project')).rejects.toMatchObject({
      code: 'in_use',
    })
    await lockProject(folder, 'q', '/other').then((other) => other.release())
    await lock.release()
    await (await lockProject(folder, 'p', '/project')).release()
    expect(await readdir(join(folder, 'locks'))).toEqual([])
  })

  it('of a living process is respected, of a dead one not', async () => {
    const folder = await tempFolder()
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    try {
      await once(other, 'spawn')
      const begin = beginOf(other.pid ?? 0) ?? undefined
      const owner = { token: 't', pid: other.pid, host: hostname(), begin }
      await lockOf(folder, JSON.stringify(owner))
      await expect(lockProject(folder, 'p', '/project')).rejects.toMatchObject({
        code: 'in_use',
        hint: expect.stringContaining(join(folder, 'locks', 'p.lock')) as string,
        context: {
          file: join(folder, 'locks', 'p.lock'),
          actual: `process ${other.pid} of ${hostname()}`,
        },
      })
      await (await lockProject(folder, 'p', '/project', { force: true })).release()
      await lockOf(folder, JSON.stringify(owner))
    } finally {
      other.kill()
      await once(other, 'exit')
    }
    await (await lockProject(folder, 'p', '/project')).release()
  })

  it.each(['', 'nonsense', '-1', '1', String(process.pid)])(
    'that says %j was left by nobody who lives',
    async (content) => {
      const folder = await tempFolder()
      await lockOf(folder, content)
      await (await lockProject(folder, 'p', '/project')).release()
    },
  )
})

describe('work that is kept', () => {
  it('is measured, and loses its oldest parts first', async () => {
    const work = await tempFolder()
    const { utimes } = await import('node:fs/promises')
    expect(await workBytes(work)).toBe(0)
    for (const [age, name] of ['new', 'middle', 'old'].entries()) {
      const folder = join(work, 'stages', name)
      await mkdir(join(folder, 'inner'), { recursive: true })
      await writeFile(join(folder, 'a'), 'x'.repeat(60))
      await writeFile(join(folder, 'inner', 'b'), 'x'.repeat(40))
      await utimes(folder, 1_000 - age, 1_000 - age)
    }
    expect(await workBytes(work)).toBe(300)
    expect(await trimWork(work, 250)).toBe(200)
    expect((await readdir(join(work, 'stages'))).sort()).toEqual(['middle', 'new'])
    expect(await trimWork(work, 1_000)).toBe(200)
    expect(await trimWork(work, 0)).toBe(0)
  })
})
