import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { homedir, hostname } from 'node:os'
import { dirname, join, parse } from 'node:path'
import { beginOf } from '@system/processes'
import { describe, expect, test } from 'vitest'
import {
  prepareOutput,
  requireDiskSpace,
} from '../../../../src/main/engine/checkpoint/preparedOutput'
import { tempFolder } from '../../../support/tempFolder'

async function setting() {
  const folder = await tempFolder()
  const model = join(folder, 'model')
  await mkdir(model)
  const out = join(folder, 'out')
  const prepare = (overwrite = false, target = out) =>
    prepareOutput(target, { overwrite, reads: [model] })
  return { folder, model, out, prepare }
}

/** The number of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return child.pid ?? 0
}

async function leavePartial(out: string, owner: object | null): Promise<void> {
  await mkdir(`${out}.partial`)
  await writeFile(join(`${out}.partial`, 'half.safetensors'), 'half')
  if (owner) await writeFile(join(`${out}.partial`, '.lesa-owner.json'), JSON.stringify(owner))
}

describe('an output', () => {
  test('appears only when committed, without the claim’s own files', async () => {
    const { folder, out, prepare } = await setting()
    const prepared = await prepare()
    expect(prepared).toMatchObject({ out, partial: `${out}.partial` })
    await writeFile(join(prepared.partial, 'a'), 'a')
    await writeFile(join(prepared.scratch, 'b'), 'b')
    expect((await readdir(folder)).sort()).toEqual(['model', 'out.partial'])
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
    expect(await readdir(join(folder, 'a', 'b'))).toEqual(['out.partial'])
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

  test('replaces a full folder only when told to, and only at the end', async () => {
    const { folder, out, prepare } = await setting()
    await mkdir(out)
    await writeFile(join(out, 'old'), 'old')
    await expect(prepare()).rejects.toMatchObject({ code: 'output_exists' })
    const prepared = await prepare(true)
    await writeFile(join(prepared.partial, 'new'), 'new')
    expect(await readdir(out)).toEqual(['old'])
    await prepared.commit()
    expect(await readdir(out)).toEqual(['new'])
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

describe('a partial folder that is there already', () => {
  test('is taken over when its owner has died', async () => {
    const { folder, out, prepare } = await setting()
    await leavePartial(out, { token: 't', pid: await deadPid(), host: hostname() })
    const prepared = await prepare()
    expect((await readdir(prepared.partial)).sort()).toEqual(['.lesa-owner.json', '.scratch'])
    await prepared.discard()
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('is taken over when its owner had our number, and when another process has its number by now', async () => {
    const { out, prepare } = await setting()
    const begin = beginOf(process.ppid)
    const host = hostname()
    const owners = [
      { token: 't', pid: process.pid, host },
      ...(begin === null ? [] : [{ token: 't', pid: process.ppid, host, begin: `${begin}0` }]),
    ]
    for (const owner of owners) {
      await leavePartial(out, owner)
      await (await prepare()).discard()
    }
  })

  test('is left alone when this process holds it by another name', async () => {
    const { folder, prepare } = await setting()
    const first = await prepare()
    // On a disk that ignores case the folder of `OUT.partial` is the one of `out.partial`.
    await symlink(first.partial, join(folder, 'OUT.partial'), 'junction')
    await expect(prepare(true, join(folder, 'OUT'))).rejects.toMatchObject({
      code: 'output_exists',
    })
    expect(await readdir(first.partial)).toContain('.scratch')
    await first.discard()
  })

  test('is taken over when it is empty', async () => {
    const { out, prepare } = await setting()
    await mkdir(`${out}.partial`)
    await (await prepare()).discard()
  })

  test.each([
    ['its owner is alive', { token: 't', pid: process.ppid, host: hostname() }],
    ['its owner is on another machine', { token: 't', pid: 1, host: 'elsewhere' }],
    ['it has no owner', null],
    ['its owner is unreadable', { pid: 'x' }],
  ])('is left alone when %s', async (_, owner) => {
    const { out, prepare } = await setting()
    await leavePartial(out, owner)
    await expect(prepare(true)).rejects.toMatchObject({
      code: 'output_exists',
      hint: expect.stringContaining(`${out}.partial`) as string,
    })
    expect(await readdir(`${out}.partial`)).toContain('half.safetensors')
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

test('requireDiskSpace lets through what fits and refuses what cannot', async () => {
  const folder = await tempFolder()
  await requireDiskSpace(join(folder, 'not', 'yet', 'there'), 0)
  await expect(requireDiskSpace(folder, 2 ** 52)).rejects.toMatchObject({
    code: 'not_enough_disk',
    context: { expected: expect.stringContaining('bytes') as string },
  })
})
