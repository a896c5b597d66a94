import { chmod, link, open, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SourceFiles } from '../../../../src/main/engine/checkpoint/SourceFiles'
import { tempFolder } from '../../../support/tempFolder'

const LONG_AGO = new Date(2020, 1, 1)

async function remembered(): Promise<{ file: string; sources: SourceFiles }> {
  const file = join(await tempFolder(), 'weights')
  await writeFile(file, 'old content')
  // Far from now, so that any later write shows however coarse the clock of the file system is.
  await utimes(file, LONG_AGO, LONG_AGO)
  const sources = new SourceFiles()
  const stats = await stat(file, { bigint: true })
  sources.see(file, stats)
  await sources.assertUnchanged()
  // The clock of a file system ticks some hundred times a second.
  const clock = `${file}.clock`
  do await writeFile(clock, '')
  while ((await stat(clock, { bigint: true })).ctimeNs === stats.ctimeNs)
  return { file, sources }
}

async function overwrite(file: string, content: string): Promise<void> {
  const handle = await open(file, 'r+')
  await handle.write(content, 0)
  await handle.close()
}

const CHANGES: Readonly<Record<string, (file: string) => Promise<void>>> = {
  'overwritten in place': (file) => overwrite(file, 'new content'),
  'made longer': (file) => writeFile(file, 'new content, longer'),
  'cut short': (file) => writeFile(file, 'old'),
  'replaced by a rename': async (file) => {
    await writeFile(`${file}.new`, 'new content')
    await rename(`${file}.new`, file)
  },
  'removed and made again': async (file) => {
    await rm(file)
    await writeFile(file, 'new content')
  },
}

test.each(Object.entries(CHANGES))('tells of a file that was %s', async (_, change) => {
  const { file, sources } = await remembered()
  await change(file)
  await expect(sources.assertUnchanged()).rejects.toMatchObject({
    code: 'bad_checkpoint',
    message: `${file} was changed while it was read.`,
    context: { file },
  })
  // Reading fails for that reason then, whatever it failed of.
  expect(await sources.explain(file, new Error('short read'))).toMatchObject({
    code: 'bad_checkpoint',
  })
})

// Windows keeps no such time apart.
test.skipIf(process.platform === 'win32').each(Object.entries(CHANGES))(
  'tells of a file that was %s, with its time set back',
  async (_, change) => {
    const { file, sources } = await remembered()
    await change(file)
    await utimes(file, LONG_AGO, LONG_AGO)
    await expect(sources.assertUnchanged()).rejects.toMatchObject({ code: 'bad_checkpoint' })
  },
)

test.skipIf(process.platform === 'win32')('tells of a link that leads elsewhere', async () => {
  const { file } = await remembered()
  const other = `${file}.other`
  await writeFile(other, 'old content')
  await utimes(other, LONG_AGO, LONG_AGO)
  const name = `${file}.link`
  await symlink(file, name)
  const sources = new SourceFiles()
  sources.see(name, await stat(name, { bigint: true }))
  await rm(name)
  await symlink(other, name)
  await expect(sources.assertUnchanged()).rejects.toMatchObject({ code: 'bad_checkpoint' })
})

test('tells of a file that is gone', async () => {
  const { file, sources } = await remembered()
  await rm(file)
  await expect(sources.assertUnchanged()).rejects.toMatchObject({
    code: 'not_found',
    context: { file, actual: 'removed' },
  })
})

test.skipIf(process.platform === 'win32')(
  'takes a new link or other permissions for no change',
  async () => {
    const { file, sources } = await remembered()
    await link(file, `${file}.backup`)
    await sources.assertUnchanged()
    await rm(`${file}.backup`)
    await chmod(file, 0o600)
    await sources.assertUnchanged()
    const failure = new Error('something else')
    expect(await sources.explain(file, failure)).toBe(failure)
  },
)
