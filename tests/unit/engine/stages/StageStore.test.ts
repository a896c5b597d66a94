import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { beginOf } from '@system/processes'
import { describe, expect, test } from 'vitest'
import { StageStore } from '../../../../src/main/engine/stages/StageStore'
import { tempFolder } from '../../../support/tempFolder'

const host = hostname()
const begin = beginOf(process.ppid) ?? ''
const A = 'a-0123456789abcdef'

describe('drafts that are there when a result is begun', () => {
  test.each([
    ['of a process that has died', `${A}.${host}.2147483646.tmp`, false],
    ['of an earlier process with our number', `${A}.${host}.${process.pid}.tmp`, false],
    ['of a living process', `${A}.${host}.${process.ppid}.${begin}.tmp`, true],
    ['of another machine', `${A}.another-host.2147483646.tmp`, true],
    ['of whatever names no process', `${A}.${host}.x.tmp`, true],
    ['of whatever ends otherwise', `${A}.${host}.2147483646`, true],
  ])('%s: %s stays: %s', async (_, name, stays) => {
    const root = await tempFolder()
    await mkdir(join(root, name))
    const draft = await new StageStore(root, true).begin('weights', { x: 1 })
    expect((await readdir(root)).includes(name)).toBe(stays)
    await draft.discard()
  })

  test('of this process stay while it works on them, and go when it does not', async () => {
    const root = await tempFolder()
    const store = new StageStore(root, true)
    const first = await store.begin('weights', { x: 1 })
    await writeFile(join(first.folder, 'half'), '')
    const second = await store.begin('weights', { x: 2 })
    expect(await readdir(root)).toHaveLength(2)
    await second.commit()
    expect(await readdir(first.folder)).toEqual(['half'])
    await first.discard()
    await first.discard()
    expect(await readdir(root)).toHaveLength(1)
  })
})
