import { copyFile, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import {
  readCorpus,
  tokenDigest,
  type Corpus,
  type CorpusProgress,
} from '../../../../src/main/engine/corpus/corpus'
import { StageStore } from '../../../../src/main/engine/stages/StageStore'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { DEMO_MODEL } from '../../../support/oracle'
import { tempFolder } from '../../../support/tempFolder'

const FIXTURES = resolve(import.meta.dirname, '../../../fixtures/corpus')
const reference = JSON.parse(await readFile(join(FIXTURES, 'documents.json'), 'utf8')) as {
  documents: string[]
  tokens: number[]
}
const { signal } = new AbortController()

async function opened(folder: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

/** A model of another shape with the demo's tokenizer, and what is laid over its files. */
async function modelWith(
  config: Readonly<Record<string, unknown>>,
  files: Readonly<Record<string, unknown>> = {},
  vocab = 512,
): Promise<Checkpoint> {
  const dir = await tempFolder()
  await writeTinyCheckpoint({ dir, layers: 1, vocab, config })
  await copyFile(join(DEMO_MODEL, 'tokenizer.json'), join(dir, 'tokenizer.json'))
  for (const name of ['generation_config.json', 'tokenizer_config.json']) {
    await writeFile(join(dir, name), JSON.stringify(files[name] ?? {}))
  }
  return opened(dir)
}

async function read(
  paths: readonly string[],
  options: Partial<Parameters<typeof readCorpus>[0]> = {},
): Promise<{ corpus: Corpus; events: CorpusProgress[] }> {
  const run = readCorpus({
    paths,
    textField: 'text',
    checkpoint: options.checkpoint ?? (await opened(DEMO_MODEL)),
    store: options.store ?? new StageStore(await tempFolder(), true),
    signal,
    ...options,
  })
  const events: CorpusProgress[] = []
  for (;;) {
    const next = await run.next()
    if (next.done) return { corpus: next.value, events }
    events.push(next.value)
  }
}

async function tokensOf(corpus: Corpus): Promise<number[]> {
  const windows = await corpus.windows(corpus.tokens)
  const tokens = [...(await windows.at(0))]
  await windows.close()
  return tokens
}

async function written(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(await tempFolder(), name)
  await writeFile(path, content)
  return path
}

const lines = reference.documents.map((text) => JSON.stringify({ text })).join('\n')

describe('readCorpus', () => {
  test("gives the reference's tokens, whatever the documents are kept in", async () => {
    const files = [
      await written('a.jsonl', lines),
      await written('a.jsonl.gz', gzipSync(lines)),
      join(FIXTURES, 'zstd.parquet'),
    ]
    for (const file of files)
      expect(await tokensOf((await read([file])).corpus)).toEqual(reference.tokens)
    const { corpus } = await read(files)
    const { tokens } = reference
    expect(await tokensOf(corpus)).toEqual([...tokens, ...tokens, ...tokens])
  })

  test('sums the files of a folder up, and leaves empty documents out', async () => {
    const folder = await tempFolder()
    await writeFile(join(folder, 'a.txt'), 'One text.')
    await writeFile(join(folder, 'b.txt'), '')
    await writeFile(join(folder, 'c.jsonl'), '{"text":"Two."}\n{"text":""}\n{"text":"Three."}')
    const alone = await written('d.txt', 'Another.')
    const { corpus, events } = await read([alone, folder])
    expect(corpus).toMatchObject({
      documents: 4,
      endOfText: 1,
      texts: [
        { name: 'd.txt', bytes: 8, documents: 1 },
        { documents: 3, bytes: 9 + 45 },
      ],
      remarks: ['Without any text: b.txt.', '1 empty documents were left out.'],
    })
    expect(corpus.texts[0]!.tokens + corpus.texts[1]!.tokens).toBe(corpus.tokens)
    expect((await tokensOf(corpus)).filter((id) => id === 1)).toHaveLength(4)
    const { documents, tokens } = corpus
    expect(events.at(-1)).toEqual({ doneBytes: 62, totalBytes: 62, documents, tokens })
  })

  test('cuts windows that run over documents, and says when there is none', async () => {
    const { corpus } = await read([await written('a.jsonl', lines)])
    const windows = await corpus.windows(100)
    expect(windows.count).toBe(Math.floor(reference.tokens.length / 100))
    expect([...(await windows.at(1))]).toEqual(reference.tokens.slice(100, 200))
    await windows.close()
    await expect(corpus.windows(corpus.tokens + 1)).rejects.toMatchObject({
      code: 'bad_request',
      context: { expected: `at least ${corpus.tokens + 1} tokens`, actual: `${corpus.tokens}` },
    })
  })

  test('refuses texts without a document', async () => {
    await expect(read([await written('a.jsonl', '\n{"text":""}\n')])).rejects.toMatchObject({
      code: 'bad_request',
      context: { expected: 'at least one document' },
    })
  })
})

describe('kept tokens', () => {
  test('are found again, and read by a model with the same tokenizer', async () => {
    const store = new StageStore(await tempFolder(), true)
    const file = await written('a.jsonl', lines)
    const first = await read([file], { store })
    const kept = await readdir(store.root)
    const checkpoint = await modelWith({ eos_token_id: 1 })
    const config = 'tokenizer_config.json'
    await copyFile(join(DEMO_MODEL, config), join(checkpoint.path, config))
    const again = await read([file], { store: new StageStore(store.root, true), checkpoint })
    expect(again.events).toHaveLength(1)
    expect(await readdir(store.root)).toEqual(kept)
    expect(again.corpus.digest).toBe(first.corpus.digest)
    expect(await tokensOf(again.corpus)).toEqual(reference.tokens)
  })

  test.each([
    ['another text', { change: true }],
    ['another field', { textField: 'body' }],
    ['another end-of-text token', { eos: 2 }],
  ])(
    'are not taken for %s',
    async (
      _,
      {
        change,
        textField,
        eos,
      }: {
        readonly change?: boolean
        readonly textField?: string
        readonly eos?: number
      },
    ) => {
      const store = new StageStore(await tempFolder(), true)
      const line = '{"text":"One text.","body":"Its body."}\n'
      const file = await written('a.jsonl', line)
      const first = await read([file], { store, checkpoint: await modelWith({ eos_token_id: 1 }) })
      if (change) await writeFile(file, `${line}${line}`)
      const checkpoint = await modelWith({ eos_token_id: eos ?? 1 })
      const second = await read([file], { store, checkpoint, ...(textField ? { textField } : {}) })
      expect(second.corpus.digest).not.toBe(first.corpus.digest)
      expect(await readdir(store.root)).toHaveLength(2)
    },
  )

  test('that a disk has lost are made anew, and it is said', async () => {
    const root = await tempFolder()
    const file = await written('a.jsonl', lines)
    const first = await read([file], { store: new StageStore(root, true) })
    const [stage] = await readdir(root)
    await truncate(join(root, stage!, 'tokens.u32'), 100)
    const second = await read([file], { store: new StageStore(root, true) })
    expect(second.corpus.remarks).toEqual([
      ...first.corpus.remarks.slice(0, -1),
      expect.stringContaining('made anew') as unknown,
      ...first.corpus.remarks.slice(-1),
    ])
    expect(await tokensOf(second.corpus)).toEqual(reference.tokens)
  })

  test('are none of a text that changes while it is read', async () => {
    const root = await tempFolder()
    const file = await written('a.jsonl', lines)
    const run = readCorpus({
      paths: [file],
      textField: 'text',
      checkpoint: await opened(DEMO_MODEL),
      store: new StageStore(root, true),
      signal,
    })
    await run.next()
    await writeFile(file, `${lines}\n`)
    await expect(run.next()).rejects.toMatchObject({
      code: 'bad_request',
      hint: expect.stringContaining('texts') as unknown,
      context: { file },
    })
    expect(await readdir(root)).toEqual([])
  })

  test('are none when the work is stopped', async () => {
    const root = await tempFolder()
    const controller = new AbortController()
    const run = readCorpus({
      // More than are tokenised at once.
      paths: [await written('a.jsonl', '{"text":"a"}\n'.repeat(20_000))],
      textField: 'text',
      checkpoint: await opened(DEMO_MODEL),
      store: new StageStore(root, true),
      signal: controller.signal,
    })
    expect((await run.next()).value).toMatchObject({ documents: 16_384 })
    expect(await readdir(root)).toHaveLength(1)
    const reason = new Error('stopped')
    controller.abort(reason)
    await expect(run.next()).rejects.toBe(reason)
    expect(await readdir(root)).toEqual([])
  })

  test('of a larger vocabulary are refused', async () => {
    const store = new StageStore(await tempFolder(), true)
    const file = await written('a.jsonl', lines)
    const [large, small] = [512, 64].map((vocab) => modelWith({ eos_token_id: 1 }, {}, vocab))
    await read([file], { store, checkpoint: await large! })
    const attempts = [store, new StageStore(await tempFolder(), true)]
    for (const each of attempts) {
      await expect(read([file], { store: each, checkpoint: await small! })).rejects.toMatchObject({
        code: 'bad_tokenizer',
        context: { expected: 'ids below 64' },
      })
    }
  })
})

describe('the end-of-text token', () => {
  const eos = '</s>'
  test.each([
    ['of config.json', { eos_token_id: 3 }, {}, 3, []],
    ['the first of several', { eos_token_id: [4, 5] }, {}, 4, []],
    [
      'else of generation_config.json',
      {},
      { 'generation_config.json': { eos_token_id: 6 } },
      6,
      [],
    ],
    [
      'else of the tokenizer',
      { eos_token_id: null },
      { 'tokenizer_config.json': { eos_token: eos } },
      1,
      [],
    ],
    ['with its flags', {}, { 'tokenizer_config.json': { eos_token: { content: eos } } }, 1, []],
    [
      'not one that the model does not know',
      { eos_token_id: 512 },
      { 'tokenizer_config.json': { eos_token: eos } },
      1,
      [/^eos_token_id of config\.json is 512/],
    ],
    [
      'or none',
      {},
      { 'tokenizer_config.json': { eos_token: 'not one token' } },
      null,
      [/without one/],
    ],
  ] as const)('is that %s', async (_, config, files, id, remarks) => {
    const checkpoint = await modelWith({ eos_token_id: undefined, ...config }, files)
    const { corpus } = await read([await written('a.txt', 'One text.')], { checkpoint })
    expect(corpus.endOfText).toBe(id)
    expect(corpus.remarks).toEqual(remarks.map((each) => expect.stringMatching(each) as unknown))
    expect((await tokensOf(corpus)).at(-1) === id).toBe(id !== null)
  })
})

test('tokenDigest tells tokenizers, ends of text and vocabularies apart', async () => {
  const digests = await Promise.all(
    [
      modelWith({ eos_token_id: 1 }),
      modelWith({ eos_token_id: 1, rope_theta: 5000 }),
      modelWith({ eos_token_id: 2 }),
      modelWith({ eos_token_id: 1 }, { 'tokenizer_config.json': { unk_token: '<x>' } }),
      modelWith({ eos_token_id: 1 }, {}, 600),
    ].map(async (model) => tokenDigest(await model, signal)),
  )
  expect(digests[1]).toBe(digests[0])
  expect(new Set(digests).size).toBe(4)
})
