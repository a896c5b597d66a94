import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkIds, loadTokenizer } from '../../../../src/main/engine/evaluation/tokenizer'
import { DEMO_MODEL, oracle } from '../../../support/oracle'
import { tempFolder } from '../../../support/tempFolder'

type Json = Record<string, unknown>

const demoJson = async (): Promise<Json> =>
  JSON.parse(await readFile(join(DEMO_MODEL, 'tokenizer.json'), 'utf8')) as Json

async function folderWith(tokenizer: unknown, config?: unknown): Promise<string> {
  const folder = await tempFolder()
  const text = (value: unknown): string =>
    typeof value === 'string' ? value : JSON.stringify(value)
  await writeFile(join(folder, 'tokenizer.json'), text(tokenizer))
  if (config !== undefined) await writeFile(join(folder, 'tokenizer_config.json'), text(config))
  return folder
}

const failsWith = (file: string): unknown =>
  expect.objectContaining({
    code: 'bad_tokenizer',
    hint: expect.any(String) as unknown,
    context: expect.objectContaining({
      file: expect.stringContaining(file) as unknown,
    }) as unknown,
  })

describe('encode', () => {
  test("gives the oracle's ids for the demo text", async () => {
    const text = await readFile(join(DEMO_MODEL, 'eval.txt'), 'utf8')
    const ids = (await loadTokenizer(DEMO_MODEL)).encode(text)
    expect(ids).toHaveLength(oracle.tokens)
    expect([...ids.subarray(0, oracle.first_ids.length)]).toEqual(oracle.first_ids)
  })

  test('adds no special tokens where the tokenizer has a template for them', async () => {
    const template = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
    }
    const folder = await folderWith({ ...(await demoJson()), post_processor: template })
    const plain = (await loadTokenizer(DEMO_MODEL)).encode('A small text.')
    expect((await loadTokenizer(folder)).encode('A small text.')).toEqual(plain)
    expect(plain.length).toBeGreaterThan(3)
  })

  test('knows special tokens that stand in the text itself', async () => {
    const ids = (await loadTokenizer(DEMO_MODEL)).encode('<s>a</s>')
    expect([ids[0], ids.at(-1), ids.length]).toEqual([0, 1, 3])
  })

  test('an empty text has no tokens', async () => {
    expect((await loadTokenizer(DEMO_MODEL)).encode('')).toEqual(new Int32Array(0))
  })
})

describe('fingerprint', () => {
  test('is the same for the same files and another for others', async () => {
    const [json, other] = [await demoJson(), { ...(await demoJson()), version: '1.1' }]
    const prints = await Promise.all(
      [json, json, other].map(
        async (each) => (await loadTokenizer(await folderWith(each))).fingerprint,
      ),
    )
    expect(prints[1]).toBe(prints[0])
    expect(prints[2]).not.toBe(prints[0])
    const configured = await loadTokenizer(await folderWith(json, { clean_up: false }))
    expect(configured.fingerprint).not.toBe(prints[0])
  })
})

describe('bad files name themselves', () => {
  test('a folder without one', async () => {
    await expect(loadTokenizer(await tempFolder())).rejects.toThrow(failsWith('tokenizer.json'))
  })

  test.each([
    ['not JSON', '{"model":'],
    ['not an object', '[]'],
    ['without a model', '{}'],
    ['of an unknown kind', { model: { type: 'Nonesuch', vocab: {} }, added_tokens: [] }],
  ])('%s', async (_, content) => {
    await expect(loadTokenizer(await folderWith(content))).rejects.toThrow(
      failsWith('tokenizer.json'),
    )
  })

  test('the config beside it', async () => {
    const folder = await folderWith(await demoJson(), '{')
    await expect(loadTokenizer(folder)).rejects.toThrow(failsWith('tokenizer_config.json'))
  })

  test('ids that the model has no embedding for', () => {
    expect(() => checkIds(Int32Array.of(3, 511), 512, '/model')).not.toThrow()
    expect(() => checkIds(Int32Array.of(3, 512), 512, '/model')).toThrow(
      failsWith('tokenizer.json'),
    )
  })
})
