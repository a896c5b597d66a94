import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, parse } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listFolders } from '../../../../src/main/ipc/handlers/folders'
import { resolvePath } from '../../../../src/main/ipc/paths'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lesa-folders-'))
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

function makeModel(name: string, weights = 'model.safetensors'): void {
  mkdirSync(join(root, name))
  writeFileSync(join(root, name, 'config.json'), '{}')
  writeFileSync(join(root, name, weights), '')
}

describe('listFolders', () => {
  it('tells models from other folders, in an order that people expect', async () => {
    makeModel('layer-10')
    makeModel('layer-9', 'model.safetensors.index.json')
    mkdirSync(join(root, 'plain'))
    mkdirSync(join(root, 'half'))
    writeFileSync(join(root, 'half', 'config.json'), '{}')
    writeFileSync(join(root, 'file.txt'), '')
    expect(await listFolders(root)).toEqual({
      path: root,
      parent: tmpdir(),
      folders: [
        { name: 'half', isModel: false, isProject: false },
        { name: 'layer-9', isModel: true, isProject: false },
        { name: 'layer-10', isModel: true, isProject: false },
        { name: 'plain', isModel: false, isProject: false },
      ],
      files: [],
    })
  })

  it('shows the texts that there are for a purpose', async () => {
    for (const name of ['a.TXT', 'b.md', 'c.jsonl.gz', 'd.parquet', '.e.txt', 'f.bin']) {
      writeFileSync(join(root, name), '1')
    }
    const texts = async (purpose?: 'measure' | 'train') =>
      (await listFolders(root, { withTexts: true, purpose })).files.map(({ name }) => name)
    expect(await texts()).toEqual(['a.TXT', 'b.md'])
    expect(await texts('measure')).toEqual(['a.TXT', 'b.md'])
    expect(await texts('train')).toEqual(['a.TXT', 'c.jsonl.gz', 'd.parquet'])
    expect((await listFolders(root)).files).toEqual([])
  })

  it('hides hidden folders, except the one where models are kept', async () => {
    for (const name of ['.git', '.cache']) mkdirSync(join(root, name))
    const { folders } = await listFolders(root)
    expect(folders.map(({ name }) => name)).toEqual(['.cache'])
  })

  it.skipIf(process.platform === 'win32')('follows links to folders only', async () => {
    makeModel('model')
    writeFileSync(join(root, 'file'), '')
    symlinkSync(join(root, 'model'), join(root, 'linked'))
    symlinkSync(join(root, 'file'), join(root, 'to-file'))
    symlinkSync(join(root, 'gone'), join(root, 'broken'))
    const { folders } = await listFolders(root)
    expect(folders).toEqual([
      { name: 'linked', isModel: true, isProject: false },
      { name: 'model', isModel: true, isProject: false },
    ])
  })

  it('begins at home and ends at the root', async () => {
    expect((await listFolders(null)).path).toBe(homedir())
    expect((await listFolders(parse(root).root)).parent).toBeNull()
  })

  it('says when there is no such folder', async () => {
    await expect(listFolders(join(root, 'gone'))).rejects.toMatchObject({ code: 'not_found' })
    writeFileSync(join(root, 'file'), '')
    await expect(listFolders(join(root, 'file'))).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('resolvePath', () => {
  it('knows the home folder and tidies up', () => {
    expect(resolvePath('~')).toBe(homedir())
    expect(resolvePath('~/models')).toBe(join(homedir(), 'models'))
    expect(resolvePath(`  ${join(root, 'a', '..', 'b')}  `)).toBe(join(root, 'b'))
  })

  it.each(['models/base', './base', '', '~other/base', 'a\0b', `${'/'}a\0b`])(
    'refuses %j',
    (path) => {
      expect(() => resolvePath(path)).toThrow(expect.objectContaining({ code: 'path_denied' }))
    },
  )
})
