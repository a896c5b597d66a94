import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostKind } from '@shared/contract'
import { describe, expect, it } from 'vitest'
import { placeHandlers, type NativeServices } from '../../../../src/main/ipc/handlers/places'
import { PathGrants } from '../../../../src/main/ipc/PathGrants'
import { UserStore } from '../../../../src/main/storage/UserStore'
import { tempFolder } from '../../../support/tempFolder'

interface Setup {
  readonly folder: string
  readonly handlers: ReturnType<typeof placeHandlers>
  readonly grants: PathGrants
  readonly told: string[]
}

async function setup(host: HostKind, native: NativeServices = {}): Promise<Setup> {
  const folder = await tempFolder()
  const user = new UserStore(join(folder, 'user'))
  const grants = new PathGrants(async () => (await user.recents()).map(({ path }) => path))
  const told: string[] = []
  const tell = (what: string) => (): Promise<void> => Promise.resolve(void told.push(what))
  const handlers = placeHandlers({
    host,
    native,
    user,
    grants,
    projects: undefined as never,
    onRecents: tell('recents'),
    onSettings: tell('settings'),
  })
  return { folder, handlers, grants, told }
}

describe('on the desktop', () => {
  it('only a native dialog opens a folder, not the page', async () => {
    let answer: string | null = null
    const purposes: string[] = []
    const { folder, handlers, grants } = await setup('electron', {
      chooseFolder: (purpose) => {
        purposes.push(purpose)
        return Promise.resolve(answer)
      },
      chooseTextFile: (purpose) => {
        purposes.push(purpose)
        return Promise.resolve(answer)
      },
    })
    await expect(handlers['folders:open'](folder)).rejects.toMatchObject({ code: 'path_denied' })
    await expect(handlers['folders:list'](folder)).rejects.toMatchObject({ code: 'path_denied' })
    expect(await handlers['folders:choose']()).toBeNull()
    answer = join(folder, 'chosen')
    expect(await handlers['folders:choose']('output')).toBe(answer)
    expect(purposes).toEqual(['folder', 'output'])
    expect(await grants.require(join(answer, 'inside'))).toBe(join(answer, 'inside'))
    expect(await handlers['folders:open'](answer)).toBe(answer)
    await expect(grants.require(folder)).rejects.toMatchObject({ code: 'path_denied' })
    answer = join(folder, 'text.txt')
    expect(await handlers['files:chooseText']()).toBe(answer)
    expect(await handlers['files:chooseText']('train')).toBe(answer)
    expect(purposes.slice(2)).toEqual(['measure', 'train'])
    expect(await grants.require(answer)).toBe(answer)
  })

  it('shows in the file manager only what was opened', async () => {
    const shown: string[] = []
    const { folder, handlers, grants } = await setup('electron', {
      reveal: (path) => shown.push(path),
    })
    await expect(handlers['files:reveal'](folder)).rejects.toMatchObject({ code: 'path_denied' })
    grants.grant(folder)
    expect(await handlers['files:reveal'](folder)).toBeNull()
    expect(shown).toEqual([folder])
  })
})

describe('in a browser', () => {
  it('the picker opens folders and files, and says what is in a folder', async () => {
    const { folder, handlers, grants } = await setup('browser')
    const project = join(folder, 'project')
    await mkdir(project)
    await writeFile(join(project, 'project.json'), '{}')
    await writeFile(join(folder, 'notes.md'), 'x')
    await writeFile(join(folder, 'weights.bin'), 'x')
    expect(await handlers['folders:list'](folder, { withTexts: true })).toMatchObject({
      folders: [{ name: 'project', isModel: false, isProject: true }],
      files: [{ name: 'notes.md', bytes: 1 }],
    })
    expect((await handlers['folders:list'](folder)).files).toEqual([])
    await expect(handlers['folders:identify'](project)).rejects.toMatchObject({
      code: 'path_denied',
    })
    expect(await handlers['folders:open'](`${project}/`)).toBe(project)
    expect(await handlers['folders:identify'](project)).toEqual({ path: project, kind: 'project' })
    expect(await handlers['folders:open'](join(project, 'new'))).toBe(join(project, 'new'))
    await expect(grants.require(folder)).rejects.toMatchObject({ code: 'path_denied' })
    expect(await handlers['folders:choose']()).toBeNull()
    expect(await handlers['files:chooseText']()).toBeNull()
    await expect(handlers['files:reveal'](project)).rejects.toMatchObject({ code: 'bad_request' })
  })

  it('every window hears of what one has changed', async () => {
    const { handlers, told } = await setup('browser')
    await handlers['settings:update']({ theme: 'dark' })
    await handlers['recents:remove']('/nothing')
    await handlers['recents:clear']()
    expect(told).toEqual(['settings', 'recents', 'recents'])
  })
})
