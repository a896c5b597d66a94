import { readFile, symlink, writeFile } from 'node:fs/promises'
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

async function idsOf(folder: string, text: string): Promise<Int32Array> {
  const { ids } = await (await loadTokenizer(folder)).encode([text])
  return ids[0] ?? new Int32Array(0)
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
    const ids = await idsOf(DEMO_MODEL, text)
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
    const plain = await idsOf(DEMO_MODEL, 'A small text.')
    expect(await idsOf(folder, 'A small text.')).toEqual(plain)
    expect(plain.length).toBeGreaterThan(3)
  })

  test('knows special tokens that stand in the text itself', async () => {
    const ids = await idsOf(DEMO_MODEL, '<s>a</s>')
    expect([ids[0], ids.at(-1), ids.length]).toEqual([0, 1, 3])
  })

  test('an empty text has no tokens', async () => {
    expect(await idsOf(DEMO_MODEL, '')).toEqual(new Int32Array(0))
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

/** As the demo's, but it finds no end on many an "a" before something else. */
async function endless(pattern: string): Promise<string> {
  const split = {
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  }
  return folderWith({ ...(await demoJson()), pre_tokenizer: split })
}

/** Every letter of the text is a start from which the pattern takes long. */
const BOMB = `${'a'.repeat(70)}!`

describe('whatever the library does', () => {
  test.each(['(a+)+$', '(a|aa)+$', '(a|a)*$', '^(([a-z])+.)+[A-Z]([a-z])+$'])(
    'a regular expression without end is an error: %s',
    async (pattern) => {
      // Some the library gives up itself, ending its process; the others would run for ages.
      const tokenizer = await loadTokenizer(await endless(pattern))
      await expect(tokenizer.encode([BOMB], { limitMs: 3_000 })).rejects.toThrow(
        failsWith('tokenizer.json'),
      )
    },
  )

  test('the time is limited', async () => {
    const tokenizer = await loadTokenizer(await endless('(a+)+$'))
    const text = `${'aaaaaaaaaaaaaaaaaaaa!'.repeat(4000)}`
    await expect(tokenizer.encode([text], { limitMs: 1 })).rejects.toThrow(
      expect.objectContaining({
        code: 'bad_tokenizer',
        message: expect.stringContaining('took longer') as unknown,
      }),
    )
  })

  test('a cancel ends it at once', async () => {
    const tokenizer = await loadTokenizer(await endless('(a|aa)+$'))
    const controller = new AbortController()
    const run = tokenizer.encode([BOMB.repeat(1000)], { signal: controller.signal })
    controller.abort()
    await expect(run).rejects.toBe(controller.signal.reason)
  })

  test('a megabyte of Unigram is tokenised', async () => {
    const json = await demoJson()
    const vocab = [['<unk>', 0], ...[...'▁abcdefghijklmnopqrstuvwxyz'].map((c) => [c, -3])]
    const model = { type: 'Unigram', unk_id: 0, vocab, byte_fallback: false }
    const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false }
    const parts = { ...json, model, normalizer: null, pre_tokenizer: metaspace, added_tokens: [] }
    const ids = await idsOf(await folderWith(parts), 'word '.repeat(240_000))
    expect(ids).toHaveLength(1_200_001)
  })

  test('its long reasons are cut', async () => {
    const folder = await folderWith({ model: { type: 'x'.repeat(100_000), vocab: {} } })
    const error: unknown = await idsOf(folder, 'a').catch((thrown: unknown) => thrown)
    expect(JSON.stringify(error).length + String(error).length).toBeLessThan(2_000)
  })
})

describe('what it is told beside the ids', () => {
  test('dropout is left out, so that the ids are the same each time', async () => {
    const json = await demoJson()
    const model = json['model'] as Json
    const vocab = { ...(model['vocab'] as Json), dropout: 600 }
    const plain = await folderWith({ ...json, model: { ...model, vocab } })
    const random = await folderWith({ ...json, model: { ...model, vocab, dropout: 0.5 } })
    const text = await readFile(join(DEMO_MODEL, 'eval.txt'), 'utf8')
    const { ids, remarks } = await (await loadTokenizer(random)).encode([text])
    expect(remarks).toEqual([expect.stringContaining('dropout')])
    expect(ids[0]).toEqual(await idsOf(plain, text))
  })
})

describe('bad files name themselves', () => {
  test('a folder without one', async () => {
    await expect(loadTokenizer(await tempFolder())).rejects.toThrow(failsWith('tokenizer.json'))
  })

  test.each([
    ['tokenizer.model', /only tokenizer\.model/],
    ['qwen.tiktoken', /only qwen\.tiktoken/],
    ['tekken.json', /only tekken\.json/],
  ])('a folder with another format: %s', async (name, says) => {
    const folder = await tempFolder()
    await writeFile(join(folder, name), '')
    await expect(loadTokenizer(folder)).rejects.toThrow(says)
  })

  test('a link to what is not there', async () => {
    const folder = await tempFolder()
    await symlink('../blobs/1', join(folder, 'tokenizer.json'))
    await expect(loadTokenizer(folder)).rejects.toThrow(/link to what is not there/)
  })

  test.each([
    ['version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n', /Git LFS pointer/],
    ['<!DOCTYPE html><html></html>', /web page/],
    ['Entry not found', /server that refused/],
    [Buffer.from('{}', 'utf16le').toString('latin1').replace(/^/, '\xff\xfe'), /UTF-16/],
  ])('what another file than meant is: %j', async (content, says) => {
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      const folder = await folderWith(await demoJson())
      await writeFile(join(folder, name), content, 'latin1')
      await expect(loadTokenizer(folder)).rejects.toThrow(says)
      await expect(loadTokenizer(folder)).rejects.toThrow(failsWith(name))
    }
  })

  test.each([
    ['not JSON', '{"model":'],
    ['not an object', '[]'],
    ['without a model', '{}'],
    ['of an unknown kind', { model: { type: 'Nonesuch', vocab: {} }, added_tokens: [] }],
  ])('%s', async (_, content) => {
    const folder = await folderWith(content)
    await expect(idsOf(folder, 'a')).rejects.toThrow(failsWith('tokenizer.json'))
  })

  test('of bytes that are not text, or begin with a mark', async () => {
    for (const bytes of [Buffer.from('{"a":"\xff"}', 'latin1'), Buffer.from('\ufeff{}')]) {
      const folder = await tempFolder()
      await writeFile(join(folder, 'tokenizer.json'), bytes)
      await expect(loadTokenizer(folder)).rejects.toThrow(failsWith('tokenizer.json'))
    }
  })

  test.each(['tokenizer.json', 'tokenizer_config.json'])(
    'more values than any has: %s',
    async (name) => {
      const folder = await folderWith(await demoJson())
      const values = name === 'tokenizer.json' ? 8_000_001 : 500_001
      await writeFile(join(folder, name), `{"y":[${'[],'.repeat(values / 2)}0]}`)
      await expect(loadTokenizer(folder)).rejects.toThrow(failsWith(name))
    },
  )

  test.each(['tokenizer.json', 'tokenizer_config.json'])(
    'of a nesting without end: %s',
    async (name) => {
      const deep = `{"x":${'['.repeat(20_000)}${']'.repeat(20_000)}}`
      const folder = await folderWith(await demoJson())
      await writeFile(join(folder, name), deep)
      await expect(idsOf(folder, 'a')).rejects.toEqual(failsWith(name))
    },
  )

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
