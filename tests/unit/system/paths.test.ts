import type * as Fs from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, parse, relative } from 'node:path'
import { canonicalPath, existingFolder, isWithin } from '@system/paths'
import { describe, expect, it, vi } from 'vitest'
import { tempFolder } from '../../support/tempFolder'

/** Folders named `folding` ignore case, as disks of Windows and macOS do: what tests make in them is in lower case. */
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof Fs>()
  const found = (path: string): string =>
    path.replace(/[/\\]folding(?=[/\\]|$).*/i, (names) => names.toLowerCase())
  return {
    ...fs,
    statSync: (path: string, options: { bigint: true }) => fs.statSync(found(path), options),
    realpathSync: {
      // The names stay as they were asked for, as Linux leaves them.
      native: (path: string) => {
        const real = fs.realpathSync.native(found(path))
        return found(path) === path ? real : path
      },
    },
  }
})

describe('a path within a path', () => {
  it.each([
    ['a', 'a', true],
    ['a/b', 'a', true],
    ['a/b/c', 'a', true],
    ['a', 'a/b', false],
    ['ab', 'a', false],
    ['..b', '.', true],
    ['new', 'new', true],
    ['new/er', 'new', true],
    ['new', 'new/er', false],
    ['newer', 'new', false],
    ['a/new', 'b/new', false],
    ['a/../new', 'new', true],
    ['file', 'file', true],
    ['file/new', 'file', true],
  ])('%s in %s: %s', async (inner, outer, expected) => {
    const folder = await tempFolder()
    await mkdir(join(folder, 'a', 'b'), { recursive: true })
    await mkdir(join(folder, 'b'))
    await writeFile(join(folder, 'file'), '')
    expect(isWithin(join(folder, inner), join(folder, outer))).toBe(expected)
  })

  it.runIf(process.platform === 'linux')('where case tells names apart', async () => {
    const folder = await tempFolder()
    await mkdir(join(folder, 'a'))
    await mkdir(join(folder, 'A'))
    expect(isWithin(join(folder, 'A'), join(folder, 'a'))).toBe(false)
    expect(isWithin(join(folder, 'NEW'), join(folder, 'new'))).toBe(false)
  })

  it('relative paths and the root', async () => {
    const folder = await tempFolder()
    expect(isWithin(relative(process.cwd(), join(folder, 'new')), folder)).toBe(true)
    expect(isWithin(folder, parse(folder).root)).toBe(true)
    expect(isWithin(parse(folder).root, folder)).toBe(false)
    expect(isWithin(join(folder, 'new'), parse(folder).root)).toBe(true)
  })

  it.skipIf(process.platform === 'win32')(
    'by another name: a link to it, to its parent, and a link that leads to nothing yet',
    async () => {
      const folder = await tempFolder()
      const real = join(folder, 'real')
      await mkdir(join(real, 'model'), { recursive: true })
      await symlink(join(real, 'model'), join(folder, 'link'), 'junction')
      await symlink(real, join(folder, 'parent'), 'junction')
      await symlink(join('real', 'model', 'later'), join(folder, 'promise'))
      const model = join(real, 'model')
      for (const name of [
        'link',
        'link/new',
        'parent/model',
        'parent/model/new/er',
        'promise',
        'promise/x',
      ]) {
        expect(isWithin(join(folder, name), model), name).toBe(true)
      }
      expect(isWithin(model, join(folder, 'link'))).toBe(true)
      expect(isWithin(model, join(folder, 'parent'))).toBe(true)
      expect(isWithin(join(folder, 'parent'), model)).toBe(false)
      expect(isWithin(join(model, 'later', 'x'), join(folder, 'promise'))).toBe(true)
    },
  )

  it.skipIf(process.platform === 'win32')(
    'links in a circle lead nowhere, and do not hang',
    async () => {
      const folder = await tempFolder()
      await symlink(join(folder, 'b'), join(folder, 'a'))
      await symlink(join(folder, 'a'), join(folder, 'b'))
      expect(isWithin(join(folder, 'a', 'x'), folder)).toBe(true)
    },
  )

  it('where case is ignored, by any spelling, of what exists and of what does not', async () => {
    const folder = join(await tempFolder(), 'folding')
    await mkdir(join(folder, 'model', 'inner'), { recursive: true })
    const model = join(folder, 'model')
    for (const name of ['Model', 'MODEL/inner', 'model/Inner/new', 'MODEL/new']) {
      expect(isWithin(join(folder, name), model), name).toBe(true)
      expect(isWithin(join(folder, name), join(folder, 'MoDel')), name).toBe(true)
    }
    expect(isWithin(model, join(folder, 'Model', 'inner'))).toBe(false)
    expect(isWithin(join(folder, 'Grown', 'x'), join(folder, 'grown'))).toBe(true)
    expect(isWithin(join(folder, 'GRÖSSE'), join(folder, 'gro\u0308sse'))).toBe(true)
    expect(isWithin(join(folder, 'grown'), join(folder, 'Grow'))).toBe(false)
  })
})

describe('a canonical path', () => {
  it.skipIf(process.platform === 'win32')(
    'has the links resolved of what exists, and keeps the rest',
    async () => {
      const folder = await tempFolder()
      await mkdir(join(folder, 'real'))
      await symlink(join(folder, 'real'), join(folder, 'link'), 'junction')
      await symlink(join('link', 'later'), join(folder, 'promise'))
      expect(canonicalPath(join(folder, 'link', 'a', 'b'))).toBe(join(folder, 'real', 'a', 'b'))
      expect(canonicalPath(join(folder, 'promise', 'c'))).toBe(join(folder, 'real', 'later', 'c'))
      expect(canonicalPath(join(folder, 'no', '..', 'new'))).toBe(join(folder, 'new'))
    },
  )
})

it('the nearest folder that exists', async () => {
  const folder = await tempFolder()
  await writeFile(join(folder, 'file'), '')
  for (const name of ['.', 'new/er', 'file', 'file/new']) {
    expect(existingFolder(join(folder, name))).toBe(folder)
  }
  expect(existingFolder(dirname(folder))).toBe(dirname(folder))
})
