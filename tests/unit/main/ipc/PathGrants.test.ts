import { mkdir, rmdir, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PathGrants } from '../../../../src/main/ipc/PathGrants'
import { tempFolder } from '../../../support/tempFolder'

describe('paths from a window', () => {
  it('are honoured inside what was opened, and nowhere else', async () => {
    const folder = await tempFolder()
    const opened = join(folder, 'opened')
    await mkdir(join(opened, 'inner'), { recursive: true })
    await mkdir(join(folder, 'opened-too'))
    const grants = new PathGrants()
    await expect(grants.require(opened)).rejects.toMatchObject({ code: 'path_denied' })
    grants.grant(opened)
    for (const path of [opened, join(opened, 'inner'), join(opened, 'new', 'folder')]) {
      expect(await grants.require(path)).toBe(path)
    }
    for (const path of [
      folder,
      join(folder, 'opened-too'),
      join(opened, '..', 'opened-too'),
      `${opened}/../opened-too`,
      homedir(),
      '/',
    ]) {
      await expect(grants.require(path)).rejects.toMatchObject({ code: 'path_denied' })
    }
  })

  it('do not get out by a link', async () => {
    const folder = await tempFolder()
    await mkdir(join(folder, 'opened'))
    await mkdir(join(folder, 'secret'))
    await symlink(join(folder, 'secret'), join(folder, 'opened', 'link'), 'junction')
    const grants = new PathGrants()
    grants.grant(join(folder, 'opened'))
    for (const path of ['link', join('link', 'file'), join('link', 'not', 'yet', 'there')]) {
      await expect(grants.require(join(folder, 'opened', path))).rejects.toMatchObject({
        code: 'path_denied',
      })
    }
  })

  it('do not follow a folder that was opened and has become a link since', async () => {
    const folder = await tempFolder()
    await mkdir(join(folder, 'opened'))
    await mkdir(join(folder, 'secret'))
    const grants = new PathGrants()
    grants.grant(join(folder, 'opened'))
    await rmdir(join(folder, 'opened'))
    await symlink(join(folder, 'secret'), join(folder, 'opened'), 'junction')
    for (const path of ['opened', join('opened', 'file'), 'secret']) {
      await expect(grants.require(join(folder, path))).rejects.toMatchObject({
        code: 'path_denied',
      })
    }
  })

  it('may come through a link that was opened itself', async () => {
    const folder = await tempFolder()
    await mkdir(join(folder, 'real'))
    await symlink(join(folder, 'real'), join(folder, 'link'), 'junction')
    const grants = new PathGrants()
    grants.grant(join(folder, 'link'))
    expect(await grants.require(join(folder, 'real', 'model'))).toBe(join(folder, 'real', 'model'))
  })

  it('may be one that is remembered, or a folder that is not there yet', async () => {
    const folder = await tempFolder()
    let remembered: string[] = []
    const grants = new PathGrants(() => Promise.resolve(remembered))
    await expect(grants.require(folder)).rejects.toMatchObject({ code: 'path_denied' })
    remembered = [folder]
    expect(await grants.require(join(folder, 'a'))).toBe(join(folder, 'a'))
    expect(grants.grant(join(folder, 'x', 'y'))).toBe(join(folder, 'x', 'y'))
  })

  it.each(['relative/path', '../up', 'a\0b', ''])('such as %j are refused', async (path) => {
    const grants = new PathGrants()
    grants.grant('/')
    await expect(grants.require(path)).rejects.toMatchObject({ code: 'path_denied' })
    expect(() => grants.grant(path)).toThrow()
  })
})
