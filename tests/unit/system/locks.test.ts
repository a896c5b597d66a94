import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import {
  acquireLock,
  disown,
  draftName,
  mayLive,
  own,
  readOwner,
  sweepDrafts,
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

/** Of the process that started this one, unless the changes say otherwise. */
const ownerOf = (changes: Partial<Owner> = {}): Owner => {
  const begin = beginOf(process.ppid)
  const parent = { token: 't', pid: process.ppid, host: hostname() }
  return { ...parent, ...(begin === null ? {} : { begin }), ...changes }
}

const DAY = 24 * 60 * 60_000
const now = Date.now()

describe('an owner', () => {
  it('may live while its process does', async () => {
    expect(mayLive(ownerOf(), now)).toBe(true)
    expect(mayLive(ownerOf({ pid: await deadPid() }), now)).toBe(false)
  })

  it('on another machine may live as long as it is heard of', () => {
    const elsewhere = ownerOf({ host: 'elsewhere' })
    expect(mayLive(elsewhere, now - DAY / 2)).toBe(true)
    expect(mayLive(elsewhere, now - DAY - 60_000)).toBe(false)
  })

  it('of our own number lives only while we hold what it is about', () => {
    const owner = own()
    expect(mayLive(owner, now)).toBe(true)
    const before = { ...owner, token: 'of the container that had the number before' }
    expect(mayLive(before, now)).toBe(false)
    disown(owner)
    expect(mayLive(owner, now)).toBe(false)
  })

  it.runIf(process.platform === 'linux')(
    'whose number is another process’s by now has died, whatever the machine has been through',
    () => {
      const [boot = '', ticks = ''] = (beginOf(process.ppid) ?? '').split('-')
      expect(mayLive(ownerOf({ begin: `${boot}-${Number(ticks) - 1}` }), now)).toBe(false)
      expect(mayLive(ownerOf({ begin: `00000000-${ticks}` }), now)).toBe(false)
      // It would have said when it began.
      const { begin: _, ...silent } = ownerOf({ pid: 1 })
      expect(mayLive(silent, now)).toBe(false)
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

describe('a draft', () => {
  const key = '0123456789abcdef'

  it('is swept when its owner has died, and not before', async () => {
    const folder = await tempFolder()
    const mine = own()
    const stay = [
      draftName(`a-${key}`, ownerOf()),
      draftName(`b.c-${key}`, ownerOf({ host: 'host.of.10.0.0.1' })),
      draftName(`c-${key}`, mine),
      `d-${key}.no-process.tmp`,
      `e-${key}`,
    ]
    const go = [
      draftName(`f-${key}`, ownerOf({ pid: await deadPid() })),
      draftName(`g.h-${key}`, ownerOf({ begin: '00000000-1' })),
    ]
    for (const name of [...stay, ...go]) await mkdir(join(folder, name))
    await sweepDrafts(folder, (draft) => (draft.includes('c-') ? mine.token : 'other'))
    const left = await readdir(folder)
    expect(left.sort()).toEqual([...stay].sort())
    // Whoever fills it touches it; of this one nothing was heard for two days.
    const silent = join(folder, stay[1] ?? '')
    await utimes(silent, new Date(now - 2 * DAY), new Date(now - 2 * DAY))
    await sweepDrafts(folder, () => mine.token)
    expect(await readdir(folder)).not.toContain(stay[1])
    disown(mine)
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

  it('of a dead one is inherited, with what died while it was taken away', async () => {
    const folder = await tempFolder()
    const file = join(folder, 'lock')
    await writeFile(`${file}-0123abcd`, '')
    await (await acquireLock(file, refusal)).release()
    expect((await acquireLock(join(folder, 'new'), refusal)).isInherited).toBe(false)
    await writeOwner(file, ownerOf({ pid: await deadPid() }))
    expect((await acquireLock(file, refusal)).isInherited).toBe(true)
    expect((await readdir(folder)).sort()).toEqual(['lock', 'new'])
  })

  it('of a living one is taken only by force', async () => {
    const file = join(await tempFolder(), 'lock')
    await writeOwner(file, ownerOf())
    await expect(acquireLock(file, refusal)).rejects.toMatchObject({ code: 'in_use' })
    await (await acquireLock(file, refusal, { force: true })).release()
  })

  it('is never made of what no process of ours can have left there', async () => {
    const folder = await tempFolder()
    await mkdir(join(folder, 'folder.lock'))
    await writeFile(join(folder, 'file.lock'), 'x'.repeat(5_000))
    for (const name of ['folder.lock', 'file.lock']) {
      const acquired = acquireLock(join(folder, name), refusal, { force: true })
      await expect(acquired).rejects.toMatchObject({ code: 'in_use' })
    }
    expect((await readdir(folder)).sort()).toEqual(['file.lock', 'folder.lock'])
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
