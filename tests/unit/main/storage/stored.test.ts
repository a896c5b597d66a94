import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Serial } from '../../../../src/main/storage/Serial'
import { readStored, setAside } from '../../../../src/main/storage/stored'
import { tempFolder } from '../../../support/tempFolder'

const schema = z.object({ schema_version: z.literal(2), name: z.string().min(1) })

describe('reading what is stored', () => {
  const read = async (content: string | null): Promise<unknown> => {
    const file = join(await tempFolder(), 'a.json')
    if (content !== null) await writeFile(file, content)
    return readStored(file, schema, 2)
  }

  it('tells what is there', async () => {
    expect(await read('{"schema_version": 2, "name": "a"}')).toEqual({
      state: 'ok',
      value: { schema_version: 2, name: 'a' },
    })
    expect(await read(null)).toEqual({ state: 'absent' })
    expect(await read('{"schema_version": 3, "anything": 1}')).toEqual({
      state: 'newer',
      version: 3,
    })
  })

  it.each([
    ['', 'it is not JSON'],
    ['{"schema_version": 2, "na', 'it is not JSON'],
    ['[]', 'Invalid input'],
    ['null', 'Invalid input'],
    ['{"schema_version": 2, "name": ""}', 'name: '],
    ['{"schema_version": "3", "name": "a"}', 'schema_version: '],
    ['{"schema_version": 2.5, "name": "a"}', 'schema_version: '],
  ])('tells that %j is damaged', async (content, reason) => {
    expect(await read(content)).toMatchObject({
      state: 'damaged',
      reason: expect.stringContaining(reason) as string,
    })
  })
})

it('a damaged file is set aside under the first free name, and never over another', async () => {
  const folder = await tempFolder()
  const file = join(folder, 'project.json')
  for (const content of ['one', 'two']) {
    await writeFile(file, content)
    await setAside(file)
  }
  expect((await readdir(folder)).sort()).toEqual([
    'project.json.damaged-1',
    'project.json.damaged-2',
  ])
  expect(await readFile(`${file}.damaged-1`, 'utf8')).toBe('one')
  await expect(setAside(file)).rejects.toMatchObject({ name: 'AppError' })
})

it('serial actions run one after another, whatever becomes of one', async () => {
  const serial = new Serial()
  const order: string[] = []
  const slow = serial.run(async () => {
    await new Promise((resolve) => setImmediate(resolve))
    order.push('slow')
    throw new Error('failed')
  })
  const quick = serial.run(() => order.push('quick'))
  await expect(slow).rejects.toThrow('failed')
  await quick
  await serial.idle()
  expect(order).toEqual(['slow', 'quick'])
})
