import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { loadTokenizer, type Tokenized } from '../../../../src/main/engine/evaluation/tokenizer'
import type { TokenizerLibrary } from '../../../../src/main/engine/evaluation/tokenizerProcess'
import { tempFolder } from '../../../support/tempFolder'

interface Reference {
  readonly texts: readonly string[]
  readonly cases: Readonly<
    Record<
      string,
      {
        readonly files: Readonly<Record<string, unknown>>
        /** Of each text. */
        readonly ids: readonly (readonly number[])[]
      }
    >
  >
}

/** Made by `make.py` beside it, with the reference implementation. */
const FILE = resolve(import.meta.dirname, '../../../fixtures/tokenizers/ids.json.gz')
const { texts, cases } = JSON.parse(gunzipSync(readFileSync(FILE)).toString()) as Reference

/** Their normalizer, pre-tokenizer or model leaves out characters that alone are nothing. */
const LEAVES_OUT = new Set([
  'bert-uncased',
  'bpe-no-unknown',
  'split-removed',
  'split-removed-inverted',
  'wordpiece-short',
  'words-nmt',
  'words-punctuation-removed',
])

async function encode(name: string, library: TokenizerLibrary): Promise<Tokenized> {
  const folder = await tempFolder()
  for (const [file, content] of Object.entries(cases[name]?.files ?? {})) {
    await writeFile(join(folder, file), JSON.stringify(content))
  }
  return (await loadTokenizer(folder, library)).encode(texts)
}

function expectReference(name: string, { ids }: Tokenized): void {
  texts.forEach((text, index) => {
    expect([...(ids[index] ?? [])], JSON.stringify(text.slice(0, 60))).toEqual(
      cases[name]?.ids[index],
    )
  })
}

describe("ids are the reference's", () => {
  test('for at least 30 kinds of tokenizer and 40 texts', () => {
    expect(Object.keys(cases).length).toBeGreaterThanOrEqual(30)
    expect(texts.length).toBeGreaterThanOrEqual(40)
  })

  test.each(Object.keys(cases))('%s', async (name) => {
    const tokenized = await encode(name, 'native')
    expectReference(name, tokenized)
    expect(tokenized.remarks.length > 0, 'leaves characters out').toBe(LEAVES_OUT.has(name))
  })
})

test.each(['gpt2', 'llama3', 'qwen2', 'gpt4o', 'llama2', 'llama2-first-added', 'unigram'])(
  'the version in JavaScript gives the same for %s, and a remark',
  async (name) => {
    const tokenized = await encode(name, 'javascript')
    expectReference(name, tokenized)
    expect(tokenized.remarks).toEqual([expect.stringContaining('JavaScript')])
  },
)

test('another library is another fingerprint', async () => {
  const folder = await tempFolder()
  await writeFile(join(folder, 'tokenizer.json'), '{}')
  const [native, javascript] = await Promise.all(
    (['native', 'javascript'] as const).map((library) => loadTokenizer(folder, library)),
  )
  expect(native?.fingerprint).not.toBe(javascript?.fingerprint)
})
