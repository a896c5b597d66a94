import { cp, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readConfigText, tensorTable } from '../../../../src/main/engine/queries/describe'
import { fingerprintOf, identifyModel } from '../../../../src/main/engine/queries/identity'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

describe('a model is', () => {
  it('the same wherever it lies, whenever it was copied, and however it is cut into files', async () => {
    const folder = await tempFolder()
    const a = await writeTinyCheckpoint({ dir: join(folder, 'a') })
    const b = join(folder, 'b')
    await cp(a, b, { recursive: true })
    await utimes(join(b, 'model.safetensors'), 1, 1)
    const c = await writeTinyCheckpoint({ dir: join(folder, 'c'), shards: 3 })
    const identity = await identifyModel(a)
    expect(await identifyModel(b)).toEqual(identity)
    expect(await identifyModel(c)).toEqual(identity)
    // What is computed from the files themselves is another matter.
    expect(await fingerprintOf(b)).not.toBe(await fingerprintOf(a))
  })

  it('another of the same shape when its weights differ', async () => {
    const folder = await tempFolder()
    const a = await identifyModel(await writeTinyCheckpoint({ dir: join(folder, 'a') }))
    const b = await identifyModel(await writeTinyCheckpoint({ dir: join(folder, 'b'), seed: 99 }))
    expect(b.shape).toBe(a.shape)
    expect(b.digest).not.toBe(a.digest)
  })

  it('another of the same shape when its config means something else', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'a') })
    const before = await identifyModel(model)
    const file = join(model, 'config.json')
    const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
    await writeFile(file, JSON.stringify(config, null, 8))
    expect(await identifyModel(model)).toEqual(before)
    await writeFile(file, JSON.stringify({ ...config, rms_norm_eps: 0.5 }))
    const after = await identifyModel(model)
    expect(after.shape).toBe(before.shape)
    expect(after.digest).not.toBe(before.digest)
  })

  it.each([{ layers: 5 }, { hidden: 48 }, { architecture: 'mistral' as const }])(
    'of another shape with %j',
    async (changes) => {
      const folder = await tempFolder()
      const a = await identifyModel(
        await writeTinyCheckpoint({ dir: join(folder, 'a'), layers: 4 }),
      )
      const other = await writeTinyCheckpoint({ dir: join(folder, 'b'), layers: 4, ...changes })
      expect((await identifyModel(other)).shape).not.toBe(a.shape)
    },
  )
})

describe('the config', () => {
  it('is told as it is written, and entry by entry', async () => {
    const folder = await tempFolder()
    const text = '{ "model_type": "other", "x": [1,  2], "y": null }'
    await writeFile(join(folder, 'config.json'), text)
    expect(await readConfigText(folder)).toEqual({
      text,
      entries: [
        { key: 'model_type', value: '"other"' },
        { key: 'x', value: '[1,2]' },
        { key: 'y', value: 'null' },
      ],
    })
  })

  it('may hold what Python writes and JSON does not have', async () => {
    const folder = await tempFolder()
    await writeFile(join(folder, 'config.json'), '{"a": [NaN, 1], "b": -Infinity, "a": [Infinity]}')
    expect((await readConfigText(folder)).entries).toEqual([
      { key: 'a', value: '[Infinity]' },
      { key: 'b', value: '-Infinity' },
    ])
  })

  it.each([
    [null, 'not_found'],
    ['[]', 'bad_checkpoint'],
    ['{', 'bad_checkpoint'],
  ])('that is %j is %s', async (text, code) => {
    const folder = await tempFolder()
    if (text !== null) await writeFile(join(folder, 'config.json'), text)
    await expect(readConfigText(folder)).rejects.toMatchObject({ code })
  })
})

it('the table of tensors says each name once and each shape once', async () => {
  const folder = await tempFolder()
  const model = await writeTinyCheckpoint({ dir: join(folder, 'm'), layers: 6, shards: 2 })
  const table = await tensorTable(model)
  expect(new Set(table.names).size).toBe(table.names.length)
  expect(new Set(table.shapes.map(String)).size).toBe(table.shapes.length)
  expect(table.shapes.length).toBeLessThan(10)
  expect(table.shards.length).toBe(2)
  for (const column of [table.bytes, table.dtypeOf, table.shapeOf, table.shardOf]) {
    expect(column).toHaveLength(table.names.length)
  }
})
