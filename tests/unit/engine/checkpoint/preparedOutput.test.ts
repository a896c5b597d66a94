import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { link, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { homedir, hostname } from 'node:os'
import { dirname, join, parse } from 'node:path'
import { AppError } from '@shared/errors'
import { clearLeftovers } from '@system/outputs'
import { beginOf } from '@system/processes'
import { describe, expect, test } from 'vitest'
import { freeSpaceAt, requireRoom } from '@system/space'
import { prepareOutput } from '../../../../src/main/engine/checkpoint/preparedOutput'
import { tempFolder } from '../../../support/tempFolder'

async function setting() {
  const folder = await tempFolder()
  const model = join(folder, 'model')
  await mkdir(model)
  const out = join(folder, 'out')
  const prepare = (overwrite = false, target = out) =>
    prepareOutput(target, { overwrite, reads: [model], bytes: 1 })
  return { folder, model, out, prepare }
}

/** The number of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return child.pid ?? 0
}

const OLD = ['config.json', 'model.safetensors']

async function leaveCheckpoint(folder: string): Promise<void> {
  await mkdir(folder)
  for (const name of OLD) await writeFile(join(folder, name), 'old')
}

describe('an output', () => {
  test('appears only when committed, without the claim’s own files', async () => {
    const { folder, out, prepare } = await setting()
    const prepared = await prepare()
    expect(prepared).toMatchObject({ out, partial: `${out}.partial` })
    await writeFile(join(prepared.partial, 'a'), 'a')
    await writeFile(join(prepared.scratch, 'b'), 'b')
    expect((await readdir(folder)).sort()).toEqual(['model', 'out.partial', 'out.partial.lock'])
    await prepared.commit()
    expect((await readdir(folder)).sort()).toEqual(['model', 'out'])
    expect(await readdir(out)).toEqual(['a'])
    await prepared.discard()
    expect(await readdir(out)).toEqual(['a'])
    await expect(prepared.commit()).rejects.toMatchObject({ code: 'bug' })
  })

  test('leaves nothing when discarded, not even the parents made for it', async () => {
    const { folder, prepare } = await setting()
    const prepared = await prepare(false, join(folder, 'a', 'b', 'out'))
    expect((await readdir(join(folder, 'a', 'b'))).sort()).toEqual([
      'out.partial',
      'out.partial.lock',
    ])
    await prepared.discard()
    await prepared.discard()
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('takes the place of an empty folder', async () => {
    const { out, prepare } = await setting()
    await mkdir(out)
    const prepared = await prepare()
    await writeFile(join(prepared.partial, 'a'), 'a')
    await prepared.commit()
    expect(await readdir(out)).toEqual(['a'])
  })

  test('replaces a checkpoint only when told to, and only at the end', async () => {
    const { folder, out, prepare } = await setting()
    await leaveCheckpoint(out)
    await expect(prepare()).rejects.toMatchObject({ code: 'output_exists' })
    const prepared = await prepare(true)
    await writeFile(join(prepared.partial, 'new'), 'new')
    expect((await readdir(out)).sort()).toEqual(OLD)
    await prepared.commit()
    expect(await readdir(out)).toEqual(['new'])
    expect((await readdir(folder)).sort()).toEqual(['model', 'out'])
  })

  test('never replaces a folder that holds other things', async () => {
    const { folder, out, prepare } = await setting()
    await mkdir(out)
    const names = ['thesis.tex', 'config.json', 'a', 'b', 'c', 'd', 'e']
    for (const name of names) await writeFile(join(out, name), 'precious')
    await expect(prepare(true)).rejects.toMatchObject({
      code: 'output_exists',
      context: { file: out, actual: 'a, b, c, config.json, d, 2 more' },
    })
    expect(await readdir(out)).toHaveLength(names.length)
    expect((await readdir(folder)).sort()).toEqual(['model', 'out'])
  })

  test('does not replace a folder that appeared while the job ran', async () => {
    const { out, prepare } = await setting()
    const prepared = await prepare()
    await mkdir(out)
    await writeFile(join(out, 'theirs'), '')
    await expect(prepared.commit()).rejects.toMatchObject({ code: 'output_exists' })
    await prepared.discard()
    expect(await readdir(out)).toEqual(['theirs'])
  })

  test('never replaces a file', async () => {
    const { out, prepare } = await setting()
    await writeFile(out, 'precious')
    await expect(prepare(true)).rejects.toMatchObject({ code: 'output_exists' })
    expect(await readFile(out, 'utf8')).toBe('precious')
  })
})

describe('two jobs', () => {
  test('cannot hold one output, by whatever name, until the first lets go', async () => {
    const { folder, out, prepare } = await setting()
    const first = await prepare()
    const names = [out, `${out}/`, join(folder, 'model', '..', 'out')]
    for (const name of names) {
      await expect(prepare(true, name)).rejects.toMatchObject({
        code: 'output_exists',
        message: expect.stringContaining('Another job') as string,
      })
    }
    await first.discard()
    await (await prepare()).discard()
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('started at once: one wins', async () => {
    const { prepare } = await setting()
    const results = await Promise.allSettled([prepare(), prepare(), prepare()])
    expect(results.map(({ status }) => status).sort()).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
    ])
    for (const result of results) if (result.status === 'fulfilled') await result.value.discard()
  })
})

describe('what a job left that was killed', () => {
  const begin = beginOf(process.ppid)
  const living = {
    token: 't',
    pid: process.ppid,
    host: hostname(),
    ...(begin === null ? {} : { begin }),
  }

  test('is taken over when its owner has died, whatever lies there', async () => {
    const { folder, out, prepare } = await setting()
    await mkdir(`${out}.partial`)
    await writeFile(join(`${out}.partial`, 'anything'), '')
    const dead = { token: 't', pid: await deadPid(), host: hostname() }
    await writeFile(`${out}.partial.lock`, JSON.stringify(dead))
    const prepared = await prepare()
    expect(await readdir(prepared.partial)).toEqual(['.scratch'])
    await prepared.discard()
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('is taken over when a job died that had taken away its dead owner’s lock', async () => {
    const { folder, out, prepare } = await setting()
    await mkdir(`${out}.partial`)
    await writeFile(join(`${out}.partial`, 'anything'), '')
    const dead = { token: 't', pid: await deadPid(), host: hostname() }
    await writeFile(`${out}.partial.lock-0123abcd`, JSON.stringify(dead))
    await (await prepare()).discard()
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('is taken over when its owner had our number, and when another process has its number by now', async () => {
    const { out, prepare } = await setting()
    const owners = [
      { token: 't', pid: process.pid, host: hostname() },
      ...(begin === null ? [] : [{ ...living, begin: `${begin}0` }]),
    ]
    for (const owner of owners) {
      await writeFile(`${out}.partial.lock`, JSON.stringify(owner))
      await (await prepare()).discard()
    }
  })

  test.each([
    ['empty', []],
    ['not signed to the end', ['.lesa-owner.json']],
    ['half a checkpoint', ['model-00001-of-00002.safetensors']],
    ['a whole one', OLD],
  ])('by an earlier version is taken over: %s', async (_, names) => {
    const { folder, out, prepare } = await setting()
    await mkdir(`${out}.partial`)
    for (const name of names) await writeFile(join(`${out}.partial`, name), '')
    await (await prepare()).discard()
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('without a lock stays when no job can have made it', async () => {
    const { out, prepare } = await setting()
    await mkdir(`${out}.partial`)
    await writeFile(join(`${out}.partial`, 'notes.txt'), '')
    await expect(prepare(true)).rejects.toMatchObject({
      code: 'output_exists',
      message: expect.stringContaining(`${out}.partial is in the way`) as string,
    })
    expect(await readdir(`${out}.partial`)).toEqual(['notes.txt'])
    expect(await readdir(dirname(out))).not.toContain('out.partial.lock')
  })

  test('between the two renames of a replacement: the older output has its name again', async () => {
    const { folder, out, prepare } = await setting()
    await leaveCheckpoint(`${out}.replaced-0123abcd`)
    await leaveCheckpoint(`${out}.partial`)
    await expect(prepare(false)).rejects.toMatchObject({ code: 'output_exists' })
    expect((await readdir(out)).sort()).toEqual(OLD)
    expect((await readdir(folder)).sort()).toEqual(['model', 'out'])
  })

  test('while it removed the older output: the new one stays, and the rest goes', async () => {
    const { folder, out, prepare } = await setting()
    await leaveCheckpoint(out)
    await leaveCheckpoint(`${out}.replaced-0123abcd`)
    await mkdir(`${out}.replaced-not-ours`)
    await expect(prepare(false)).rejects.toMatchObject({ code: 'output_exists' })
    expect((await readdir(folder)).sort()).toEqual(['model', 'out', 'out.replaced-not-ours'])
  })

  test.each([
    ['a living process', living],
    ['another machine', { token: 't', pid: 1, host: 'elsewhere' }],
  ])('is left alone when its owner is %s', async (_, owner) => {
    const { folder, out, prepare } = await setting()
    const former = join(`${out}.partial`, '.lesa-owner.json')
    await mkdir(`${out}.partial`)
    for (const file of [`${out}.partial.lock`, former]) {
      await writeFile(file, JSON.stringify(owner))
      await expect(prepare(true)).rejects.toMatchObject({
        code: 'output_exists',
        hint: expect.stringContaining(`${out}.partial.lock`) as string,
      })
      await clearLeftovers(out)
      expect(await readdir(folder)).toContain('out.partial')
      await rm(file)
    }
  })

  test('is left alone when this process holds it by another name', async () => {
    const { folder, prepare } = await setting()
    const first = await prepare()
    // On a disk that ignores case `OUT.partial.lock` is `out.partial.lock`.
    await link(join(folder, 'out.partial.lock'), join(folder, 'OUT.partial.lock'))
    await expect(prepare(true, join(folder, 'OUT'))).rejects.toMatchObject({
      code: 'output_exists',
    })
    expect(await readdir(first.partial)).toContain('.scratch')
    await first.discard()
  })
})

describe('before the work it is found out', () => {
  test('that the disk has no room, for all that goes there together', async () => {
    const { folder, model, out } = await setting()
    const bytes = ((await freeSpaceAt(folder)) ?? 0) * 0.7
    const refused = prepareOutput(out, {
      overwrite: false,
      reads: [model],
      bytes,
      alsoNeeds: [{ path: join(folder, 'job'), bytes }],
    })
    await expect(refused).rejects.toMatchObject({ code: 'not_enough_disk' })
    expect(await readdir(folder)).toEqual(['model'])
  })

  test.each([
    ['the name', (folder: string) => join(folder, 'n'.repeat(252))],
    ['the name of what is moved aside', (folder: string) => join(folder, 'n'.repeat(240))],
    ['a parent’s name', (folder: string) => join(folder, 'n'.repeat(300), 'out')],
    ['the path', (folder: string) => join(folder, ...Array<string>(20).fill('n'.repeat(200)))],
  ])('that %s is too long', async (_, outIn) => {
    const { folder, prepare } = await setting()
    await expect(prepare(false, outIn(folder))).rejects.toMatchObject({
      code: 'path_denied',
      message: 'The name is longer than the system allows.',
    })
    expect(await readdir(folder)).toEqual(['model'])
  })

  test.runIf(process.platform === 'linux')('that no folder can be made there', async () => {
    const { prepare } = await setting()
    await expect(prepare(false, '/proc/none/out')).rejects.toBeInstanceOf(AppError)
  })
})

describe('an output is denied where it would do harm:', () => {
  const denied = { code: 'path_denied' }

  test('the model, inside it, around it', async () => {
    const { folder, model, prepare } = await setting()
    for (const target of [model, join(model, 'sub', 'out'), folder, dirname(folder)]) {
      await expect(prepare(true, target)).rejects.toMatchObject(denied)
    }
    expect(await readdir(folder)).toEqual(['model'])
  })

  test.skipIf(process.platform === 'win32')('the model by another name', async () => {
    const { folder, model, prepare } = await setting()
    await symlink(model, join(folder, 'alias'))
    await expect(prepare(true, join(folder, 'alias'))).rejects.toMatchObject(denied)
    await expect(prepare(true, join(folder, 'alias', 'out'))).rejects.toMatchObject(denied)
  })

  test('a disk, the home folder, the current folder', async () => {
    const { prepare } = await setting()
    for (const target of [
      parse(homedir()).root,
      homedir(),
      process.cwd(),
      dirname(process.cwd()),
    ]) {
      await expect(prepare(true, target)).rejects.toMatchObject(denied)
    }
  })

  test('but a sibling whose name only begins alike is fine', async () => {
    const { model, prepare } = await setting()
    await (await prepare(false, `${model}-grown`)).discard()
  })
})

test('a parent that is a file is reported as such', async () => {
  const { folder, prepare } = await setting()
  await writeFile(join(folder, 'file'), '')
  await expect(prepare(false, join(folder, 'file', 'out'))).rejects.toMatchObject({
    code: expect.stringMatching(/^(?:write_failed|output_exists)$/) as string,
  })
})

test('requireRoom lets through what fits and refuses what cannot', async () => {
  const folder = await tempFolder()
  await requireRoom([{ path: join(folder, 'not', 'yet', 'there'), bytes: 0 }])
  await expect(requireRoom([{ path: folder, bytes: 2 ** 52 }])).rejects.toMatchObject({
    code: 'not_enough_disk',
    context: { expected: expect.stringContaining('bytes') as string },
  })
})
