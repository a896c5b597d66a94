import { chown, chmod, mkdir, symlink, writeFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkTexts, findTexts } from '../../../../src/main/engine/corpus/textFiles'
import { tempFolder } from '../../../support/tempFolder'

async function folderOf(...names: readonly string[]): Promise<string> {
  const folder = await tempFolder()
  for (const name of names) {
    const path = join(folder, name)
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, 'text')
  }
  return folder
}

const namesIn = async (folder: string, paths: readonly string[] = [folder]): Promise<string[]> =>
  (await findTexts(paths)).files.map(({ path }) => path.slice(folder.length + 1))

/** Who may read everything does something as a user who may not. */
async function asAnyone(folder: string, work: () => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) return await work()
  const [nobody, root] = [65_534, 0]
  for (const path of [folder, ...(await readdir(folder)).map((name) => join(folder, name))]) {
    await chown(path, nobody, nobody)
  }
  process.seteuid?.(nobody)
  try {
    await work()
  } finally {
    process.seteuid?.(root)
  }
}

describe('findTexts', () => {
  test('reads folders in the order of names, deeper ones in their place', async () => {
    const folder = await folderOf('b.txt', 'a/z.jsonl', 'a/B.TXT.GZ', 'c.parquet', 'Z.jsonl.gz')
    const files = ['Z.jsonl.gz', 'a/B.TXT.GZ', 'a/z.jsonl', 'b.txt', 'c.parquet']
    expect(await namesIn(folder)).toEqual(files)
  })

  test('keeps the order in which paths are named', async () => {
    const folder = await folderOf('a.txt', 'b.txt', 'more/c.txt')
    const paths = ['more', 'b.txt', 'a.txt'].map((name) => join(folder, name))
    const { files } = await findTexts(paths)
    expect(files.map(({ source }) => source)).toEqual([0, 1, 2])
    expect(await namesIn(folder, paths)).toEqual(['more/c.txt', 'b.txt', 'a.txt'])
  })

  test('names what it passes over, but for hidden files', async () => {
    const folder = await folderOf('a.txt', 'notes.md', 'deep/data.csv', '.git/x.txt', '.hidden.txt')
    await symlink('nowhere.txt', join(folder, 'gone.txt'))
    await symlink('.', join(folder, 'round.txt'))
    const { files, remarks } = await findTexts([folder])
    expect(files).toHaveLength(1)
    expect(remarks).toEqual([
      expect.stringMatching(/deep\/data\.csv, gone\.txt, notes\.md, round\.txt\.$/),
    ])
  })

  test('reads a file once that has several names', async () => {
    const folder = await folderOf('a.txt')
    await symlink('a.txt', join(folder, 'b.txt'))
    const { files, remarks } = await findTexts([join(folder, 'a.txt'), folder])
    expect(files).toHaveLength(1)
    expect(remarks).toEqual(['Named more than once and read once: a.txt, b.txt.'])
  })

  test.each([
    ['another kind', 'a.csv', 'a file of another kind'],
    ['no kind', 'README', 'a file of another kind'],
    ['an empty folder', 'empty', 'an empty folder'],
    ['a folder with none', 'other', 'a folder with none of them'],
  ])('refuses %s', async (_, name, actual) => {
    const folder = await folderOf('a.csv', 'README', 'other/a.csv')
    await mkdir(join(folder, 'empty'))
    await expect(findTexts([join(folder, name)])).rejects.toMatchObject({
      code: 'bad_request',
      hint: expect.stringContaining('.parquet') as unknown,
      context: { file: join(folder, name), actual },
    })
  })

  test('says of one that is not there that it is not', async () => {
    const file = join(await tempFolder(), 'a.txt')
    await expect(findTexts([file])).rejects.toMatchObject({ code: 'not_found', context: { file } })
  })

  test('refuses one that may not be read', async () => {
    const folder = await folderOf('a.txt')
    await asAnyone(folder, async () => {
      await chmod(join(folder, 'a.txt'), 0)
      await expect(findTexts([folder])).rejects.toMatchObject({
        code: 'path_denied',
        context: { file: join(folder, 'a.txt') },
      })
    })
  })
})

test('checkTexts counts bytes as they lie there, and guesses what packed files hold', async () => {
  const folder = await folderOf('a.txt', 'b.jsonl.gz')
  expect(await checkTexts([folder])).toEqual({ bytes: 8, textBytes: 16, files: 2, remarks: [] })
})
