import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, parse } from 'node:path'
import { harmOf, refuseHarm } from '@system/harm'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../support/tempFolder'

async function setting(): Promise<{ folder: string; kept: { path: string; what: string }[] }> {
  const folder = await tempFolder()
  const model = join(folder, 'models', 'base')
  await mkdir(model, { recursive: true })
  return { folder, kept: [{ path: model, what: 'the model' }] }
}

describe('an output', () => {
  it.each([
    ['models/base', 'it holds the model'],
    ['models/base/new/er', 'it lies in the folder of the model'],
    ['models', 'it holds the model'],
    ['.', 'it holds the model'],
    ['alias', 'it holds the model'],
    ['alias/new', 'it lies in the folder of the model'],
    ['models/base-grown', null],
    ['models/new/er', null],
  ])('in %s: %s', async (name, reason) => {
    const { folder, kept } = await setting()
    await symlink(join(folder, 'models', 'base'), join(folder, 'alias'), 'junction')
    const out = join(folder, name)
    const said = reason && `${out} cannot be the output folder: ${reason}.`
    expect(harmOf(out, kept)).toBe(said)
    if (said === null) refuseHarm(out, kept)
    else {
      expect(() => refuseHarm(out, kept)).toThrow(
        expect.objectContaining({
          code: 'path_denied',
          message: said,
          context: { file: out, field: 'out' },
        }),
      )
    }
  })

  it.each([
    ['a disk', parse(homedir()).root, 'it is a whole disk'],
    ['the home folder', homedir(), 'it holds your home folder'],
    ['the current folder', process.cwd(), 'it holds the current folder'],
    ['one around it', dirname(process.cwd()), 'it holds the current folder'],
  ])('is never %s, whatever is read', (_, out, reason) => {
    expect(harmOf(out, [])).toContain(reason)
  })

  it('does not take along a file that is read, nor any of several folders', async () => {
    const { folder, kept } = await setting()
    const config = join(folder, 'like', 'config.json')
    await mkdir(dirname(config))
    await writeFile(config, '{}')
    expect(harmOf(dirname(config), [...kept, { path: config }])).toContain(
      'it holds the model that is read',
    )
    expect(harmOf(config, [...kept, { path: config }])).not.toBeNull()
  })
})
