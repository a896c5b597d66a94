import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_SETTINGS } from '@shared/settings'
import { describe, expect, it } from 'vitest'
import { defaultProjectsFolder, userFolder } from '../../../../src/main/storage/userFolder'
import { UserStore } from '../../../../src/main/storage/UserStore'
import { tempFolder } from '../../../support/tempFolder'

describe('settings', () => {
  it('are the defaults until one is changed, and are kept', async () => {
    const folder = join(await tempFolder(), 'user')
    const store = new UserStore(folder)
    expect(await store.settings()).toEqual(DEFAULT_SETTINGS)
    const changed = { ...DEFAULT_SETTINGS, theme: 'dark', memoryLimitBytes: 4e9 }
    expect(await store.updateSettings({ theme: 'dark', memoryLimitBytes: 4e9 })).toEqual(changed)
    expect(await new UserStore(folder).settings()).toEqual(changed)
  })

  it('of two programs do not undo each other', async () => {
    const folder = await tempFolder()
    const [a, b] = [new UserStore(folder), new UserStore(folder)]
    await a.updateSettings({ theme: 'light' })
    await b.updateSettings({ device: 'cpu' })
    expect(await a.settings()).toMatchObject({ theme: 'light', device: 'cpu' })
  })

  it('that an older version wrote get the defaults of what it did not know', async () => {
    const folder = await tempFolder()
    await writeFile(join(folder, 'settings.json'), '{"schema_version": 1, "theme": "dark"}')
    expect(await new UserStore(folder).settings()).toEqual({ ...DEFAULT_SETTINGS, theme: 'dark' })
  })

  it.each(['no JSON', '{"schema_version": 1, "theme": "pink"}', '[]'])(
    'that are damaged (%s) are set aside',
    async (content) => {
      const folder = await tempFolder()
      await writeFile(join(folder, 'settings.json'), content)
      const store = new UserStore(folder)
      expect(await store.settings()).toEqual(DEFAULT_SETTINGS)
      expect(await readdir(folder)).toEqual(['settings.json.damaged-1'])
      expect(await readFile(join(folder, 'settings.json.damaged-1'), 'utf8')).toBe(content)
    },
  )

  it('of a newer version are neither used nor overwritten', async () => {
    const folder = await tempFolder()
    const content = '{"schema_version": 2, "theme": "dark"}'
    await writeFile(join(folder, 'settings.json'), content)
    const store = new UserStore(folder)
    expect(await store.settings()).toEqual(DEFAULT_SETTINGS)
    await expect(store.updateSettings({ theme: 'light' })).rejects.toMatchObject({
      code: 'unsupported_version',
    })
    expect(await readFile(join(folder, 'settings.json'), 'utf8')).toBe(content)
  })
})

describe('recents', () => {
  it('come newest first, each once, with whether they are there', async () => {
    const folder = await tempFolder()
    let now = 0
    const store = new UserStore(folder, () => (now += 1))
    const [a, b] = [join(folder, 'a'), join(folder, 'b')]
    await mkdir(a)
    await mkdir(b)
    await store.addRecent({ kind: 'model', path: a })
    await store.addRecent({ kind: 'project', path: b, name: 'My project' })
    await store.addRecent({ kind: 'model', path: a })
    await rm(b, { recursive: true })
    expect(await store.recents()).toEqual([
      { kind: 'model', path: a, name: 'a', openedAt: 3, exists: true },
      { kind: 'project', path: b, name: 'My project', openedAt: 2, exists: false },
    ])
    expect((await store.removeRecent(a)).map(({ path }) => path)).toEqual([b])
    expect(await store.clearRecents()).toEqual([])
  })

  it('tell layers and parameters as they were known last, and the runs that are there now', async () => {
    const folder = await tempFolder()
    const store = new UserStore(folder)
    const facts = { layers: 12, parameters: 2_490_000 }
    const project = join(folder, 'Demo')
    await mkdir(join(project, 'runs', '001-lesa'), { recursive: true })
    await store.addRecent({ kind: 'project', path: project, name: 'Demo', facts })
    // Opened again while its model cannot be read.
    await store.addRecent({ kind: 'project', path: project, name: 'Demo' })
    expect(await store.recents()).toMatchObject([{ facts, runs: 1 }])
    await mkdir(join(project, 'runs', '002-solar'))
    await mkdir(join(project, 'runs', '.trash'))
    expect(await store.recents()).toMatchObject([{ facts, runs: 2 }])
    // A fact of some other version costs nobody the list.
    const file = join(folder, 'recents.json')
    await writeFile(file, (await readFile(file, 'utf8')).replace('"layers": 12', '"layers": "12"'))
    const [entry] = await store.recents()
    expect(entry).toMatchObject({ name: 'Demo', runs: 2 })
    expect(entry?.facts).toBeUndefined()
  })

  it('are no more than people look through', async () => {
    const store = new UserStore(await tempFolder())
    for (let n = 0; n < 40; n += 1) await store.addRecent({ kind: 'model', path: `/models/${n}` })
    const recents = await store.recents()
    expect(recents).toHaveLength(30)
    expect(recents[0]?.path).toBe('/models/39')
  })

  it('that are damaged are set aside, those of a newer version left alone', async () => {
    const folder = await tempFolder()
    const file = join(folder, 'recents.json')
    await writeFile(file, '{"schema_version": 1, "entries": [{"kind": "virus"}]}')
    const store = new UserStore(folder)
    expect(await store.recents()).toEqual([])
    expect(await readdir(folder)).toEqual(['recents.json.damaged-1'])
    await writeFile(file, '{"schema_version": 9}')
    await store.addRecent({ kind: 'model', path: '/m' })
    expect(await readFile(file, 'utf8')).toBe('{"schema_version": 9}')
  })
})

describe("the person's folder", () => {
  const home = '/home/someone'

  it.each([
    ['linux', {}, '/home/someone/.config/lesa-workbench'],
    ['linux', { XDG_CONFIG_HOME: '/config' }, '/config/lesa-workbench'],
    ['linux', { XDG_CONFIG_HOME: 'relative' }, '/home/someone/.config/lesa-workbench'],
    ['darwin', {}, '/home/someone/Library/Application Support/lesa-workbench'],
    [
      'win32',
      { APPDATA: 'C:\\Users\\s\\AppData\\Roaming' },
      'C:\\Users\\s\\AppData\\Roaming\\lesa-workbench',
    ],
    ['linux', { LESA_USER_DATA: '/elsewhere' }, '/elsewhere'],
  ] as const)('on %s with %j is %s', (platform, env, folder) => {
    expect(userFolder({ platform, env, home })).toBe(folder)
  })

  it('that is named takes the projects with it', () => {
    const own = join(tmpdir(), 'own')
    expect(defaultProjectsFolder({ LESA_USER_DATA: own }, '/documents')).toBe(join(own, 'projects'))
    for (const env of [{}, { LESA_USER_DATA: 'relative' }]) {
      expect(defaultProjectsFolder(env, '/documents')).toBe(join('/documents', 'LESA Workbench'))
    }
  })
})
