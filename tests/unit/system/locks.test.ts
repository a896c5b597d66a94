import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import {
  acquireLock,
  disown,
  evict,
  mayLive,
  own,
  readOwner,
  writeOwner,
  type Owner,
} from '@system/locks'
import { beginOf } from '@system/processes'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../support/tempFolder'

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return child.pid ?? 0
}

const ownerOf = (changes: Partial<Owner>): Owner => ({
  token: 't',
  pid: process.ppid,
  host: hostname(),
  ...changes,
})

describe('an owner', () => {
  it('may live while its process does, or where nobody can tell', async () => {
    expect(mayLive(ownerOf({}))).toBe(true)
    expect(mayLive(ownerOf({ pid: await deadPid() }))).toBe(false)
    expect(mayLive(ownerOf({ pid: await deadPid(), host: 'elsewhere' }))).toBe(true)
  })

  it('of our own number lives only while we hold what it is about', () => {
    const owner = own()
    expect(mayLive(owner)).toBe(true)
    expect(mayLive({ ...owner, token: 'of the container that had the number before' })).toBe(false)
    disown(owner)
    expect(mayLive(owner)).toBe(false)
  })

  it.runIf(process.platform === 'linux')(
    'whose number is another process’s by now has died',
    () => {
      const begin = beginOf(process.ppid) ?? ''
      expect(mayLive(ownerOf({ begin }))).toBe(true)
      expect(mayLive(ownerOf({ begin: String(Number(begin) - 1) }))).toBe(false)
    },
  )

  it('is read as it was written, by earlier versions too', async () => {
    const file = join(await tempFolder(), 'owner')
    const owner = own()
    await writeOwner(file, owner)
    expect(await readOwner(file)).toEqual(owner)
    await expect(writeOwner(file, owner)).rejects.toMatchObject({ code: 'EEXIST' })
    const read = (text: string) => writeFile(file, text).then(() => readOwner(file))
    expect(await read('4711')).toEqual({ token: '', pid: 4711, host: hostname() })
    expect(await read('{"token":"t","pid":5,"host":"h"}')).toEqual({
      token: 't',
      pid: 5,
      host: 'h',
    })
  })

  it.each([
    '',
    'nonsense',
    '-1',
    '0',
    '1.5',
    'null',
    '[]',
    '{"pid":5}',
    '{"token":"t","host":"h","pid":"5"}',
  ])('is not named by %j', async (text) => {
    const file = join(await tempFolder(), 'owner')
    await writeFile(file, text)
    expect(await readOwner(file)).toBeNull()
  })
})

describe('what a dead owner left', () => {
  it('goes, with what is in it', async () => {
    const folder = await tempFolder()
    const left = join(folder, 'left')
    await mkdir(left)
    const owner = ownerOf({})
    await writeOwner(join(left, 'owner'), owner)
    await evict(left, owner, (path) => join(path, 'owner'))
    expect(await readdir(folder)).toEqual([])
    await evict(left, owner, (path) => join(path, 'owner'))
  })

  it('stays when it has become somebody else’s meanwhile', async () => {
    const folder = await tempFolder()
    const file = join(folder, 'lock')
    await writeOwner(file, ownerOf({ token: 'theirs' }))
    await evict(file, ownerOf({ token: 'the dead one’s' }))
    await evict(file, null)
    expect(await readdir(folder)).toEqual(['lock'])
    expect(await readOwner(file)).toMatchObject({ token: 'theirs' })
  })
})

describe('a lock', () => {
  const refusal = (owner: Owner | null): AppError =>
    new AppError('in_use', 'Taken.', { context: { actual: String(owner?.pid) } })

  it('is one’s, of however many that want it', async () => {
    const folder = await tempFolder()
    const file = join(folder, 'lock')
    await writeFile(file, String(await deadPid()))
    const all = await Promise.allSettled(
      Array.from({ length: 8 }, () => acquireLock(file, refusal)),
    )
    const taken = all.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    expect(taken).toHaveLength(1)
    for (const each of all) {
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'in_use' })
    }
    await taken[0]?.release()
    expect(await readdir(folder)).toEqual([])
  })

  it('that was removed by hand and taken by another is not released for it', async () => {
    const file = join(await tempFolder(), 'lock')
    const lock = await acquireLock(file, refusal)
    await writeFile(file, JSON.stringify(ownerOf({ token: 'theirs' })))
    await lock.release()
    expect(await readOwner(file)).toMatchObject({ token: 'theirs' })
  })

  it('that is being made at this moment is waited for', async () => {
    const file = join(await tempFolder(), 'lock')
    await writeFile(file, '')
    const acquired = acquireLock(file, refusal)
    await writeFile(file, JSON.stringify(ownerOf({})))
    await expect(acquired).rejects.toMatchObject({ context: { actual: String(process.ppid) } })
    expect(await readFile(file, 'utf8')).toContain('"t"')
  })

  it('needs its folder', async () => {
    const file = join(await tempFolder(), 'none', 'lock')
    await expect(acquireLock(file, refusal)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
