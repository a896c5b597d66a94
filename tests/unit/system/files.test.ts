import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { exists, removeFolder, writeFileAtomic, writeJsonAtomic, writeRecord } from '@system/files'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../support/tempFolder'

describe('an atomic write', () => {
  it('replaces the whole file and leaves nothing else', async () => {
    const folder = await tempFolder()
    const file = join(folder, 'a.json')
    await writeJsonAtomic(file, { long: 'x'.repeat(10_000) })
    await Promise.all([1, 2, 3].map((n) => writeJsonAtomic(file, { n })))
    expect(Object.keys(JSON.parse(await readFile(file, 'utf8')) as object)).toEqual(['n'])
    expect(await readdir(folder)).toEqual(['a.json'])
  })

  it('removes what a process left that was killed while it wrote the same file', async () => {
    const folder = await tempFolder()
    const file = join(folder, 'a.json')
    const dead = spawn(process.execPath, ['-e', ''])
    await once(dead, 'exit')
    const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
    const left = (name: string, pid?: number) => `${name}.${host}.${pid}.0123456789ab.tmp`
    const others = [left('a.json', process.ppid), left('b.json', dead.pid)]
    for (const name of [...others, left('a.json', dead.pid)]) {
      await writeFile(join(folder, name), '')
    }
    await writeJsonAtomic(file, 1)
    expect(await readdir(folder)).toEqual(['a.json', ...others].sort())
  })

  it('that fails says why, keeps the old file and cleans up', async () => {
    const folder = await tempFolder()
    const file = join(folder, 'a.json')
    // A folder of that name, with something in it, cannot be replaced by a file.
    await mkdir(join(file, 'inner'), { recursive: true })
    await expect(writeFileAtomic(file, 'x')).rejects.toMatchObject({
      name: 'AppError',
      context: { file },
    })
    expect(await readdir(folder)).toEqual(['a.json'])
    await expect(writeFileAtomic(join(folder, 'no', 'a'), 'x')).rejects.toMatchObject({
      code: 'write_failed',
    })
  })
})

it('a record makes its folder, and is short', async () => {
  const file = join(await tempFolder(), 'a', 'b.json')
  await writeRecord(file, { a: [1, 2] })
  expect(await readFile(file, 'utf8')).toBe('{"a":[1,2]}\n')
  await expect(writeRecord(join(file, 'c.json'), 1)).rejects.toMatchObject({
    name: 'AppError',
    context: { file: join(file, 'c.json') },
  })
})

it('a folder is removed with what is in it, or is not there', async () => {
  const folder = join(await tempFolder(), 'a')
  await mkdir(folder)
  await writeFile(join(folder, 'b'), 'b')
  await removeFolder(folder)
  expect(await exists(folder)).toBe(false)
  await removeFolder(folder)
})
