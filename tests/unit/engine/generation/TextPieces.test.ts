import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  loadTokenizer,
  type TokenizerSession,
} from '../../../../src/main/engine/evaluation/tokenizer'
import { piecesAt, TextPieces } from '../../../../src/main/engine/generation/TextPieces'
import { promptTokens, roomAfter } from '../../../../src/main/engine/generation/prompt'
import { DEMO_MODEL } from '../../../support/oracle'
import { tempFolder } from '../../../support/tempFolder'

const signal = new AbortController().signal

async function session(
  folder = DEMO_MODEL,
  library?: 'native' | 'javascript',
): Promise<TokenizerSession> {
  const opened = (await loadTokenizer(folder, library)).open()
  onTestFinished(() => opened.close())
  return opened
}

/** A folder with the demo's tokenizer, changed. */
async function changed(change: (tokenizer: Record<string, unknown>) => unknown): Promise<string> {
  const folder = join(await tempFolder(), 'model')
  await mkdir(folder)
  await copyFile(join(DEMO_MODEL, 'tokenizer_config.json'), join(folder, 'tokenizer_config.json'))
  const text = await readFile(join(DEMO_MODEL, 'tokenizer.json'), 'utf8')
  const tokenizer = JSON.parse(text) as Record<string, unknown>
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(change(tokenizer)))
  return folder
}

describe.each(['native', 'javascript'] as const)('with the %s library', (library) => {
  test('pieces of tokens make the text, with characters of several tokens whole', async () => {
    const tokenizer = await session(DEMO_MODEL, library)
    const [prompt, text] = ['Ada said', ' “Größe” – 漢字, 😀!\nAnd 👩‍👧 too.']
    const [start, all] = (await tokenizer.encode([prompt, prompt + text])).ids
    const pieces = new TextPieces(tokenizer, start ?? [], signal)
    const found: string[] = []
    const written = all?.subarray(start?.length) ?? new Int32Array(0)
    for (const id of written) found.push(await pieces.add(id))
    // The demo's tokenizer knows such characters by their bytes only.
    expect(written.length).toBeGreaterThan([...text].length)
    expect(found.join('')).toBe(text)
    expect(found.filter((piece) => piece.includes('\ufffd'))).toEqual([])
    expect(found).toContain('漢')
    expect(await pieces.finish()).toBe('')
  })

  test('what is no whole character is shown so at the end', async () => {
    const tokenizer = await session(DEMO_MODEL, library)
    const [ids = new Int32Array(0)] = (await tokenizer.encode(['漢'])).ids
    const pieces = new TextPieces(tokenizer, [], signal)
    expect(await pieces.add(ids[0] ?? 0)).toBe('')
    expect(await pieces.finish()).toMatch(/^\ufffd+$/)
  })

  test('tokens that could follow have the text that they would add', async () => {
    const tokenizer = await session(DEMO_MODEL, library)
    const [[before, one, two]] = [(await tokenizer.encode(['Ada', ' was', '.'])).ids]
    const places = [{ before: [...(before ?? [])], ids: [...(one ?? []), ...(two ?? []), 1] }]
    expect(await piecesAt(tokenizer, places, signal)).toEqual([[' was', '.', '</s>']])
  })
})

test('a tokenizer that drops the blank at a text’s start keeps it within', async () => {
  const folder = await changed((tokenizer) => ({
    ...tokenizer,
    decoder: {
      type: 'Sequence',
      decoders: [tokenizer['decoder'], { type: 'Strip', content: ' ', start: 1, stop: 0 }],
    },
  }))
  const tokenizer = await session(folder)
  const [prompt, next] = (await tokenizer.encode(['Ada', ' was'])).ids
  const pieces = new TextPieces(tokenizer, prompt ?? [], signal)
  expect(await pieces.add(next?.[0] ?? 0)).toBe(' was')
})

describe('a prompt', () => {
  test('has no more tokens than its text where the tokenizer adds none', async () => {
    const tokenizer = await session()
    const { ids } = await promptTokens(tokenizer, 'Ada was', signal)
    expect([...ids]).toEqual([...((await tokenizer.encode(['Ada was'])).ids[0] ?? [])])
  })

  test('has the token for its beginning, and none for its end', async () => {
    const special = (id: string, token: number) => [id, { id, ids: [token], tokens: [id] }] as const
    const mark = (id: string) => ({ SpecialToken: { id, type_id: 0 } })
    const folder = await changed((tokenizer) => ({
      ...tokenizer,
      post_processor: {
        type: 'TemplateProcessing',
        single: [mark('<s>'), { Sequence: { id: 'A', type_id: 0 } }, mark('</s>')],
        pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 0 } }],
        special_tokens: Object.fromEntries([special('<s>', 0), special('</s>', 1)]),
      },
    }))
    const tokenizer = await session(folder)
    const { ids } = await promptTokens(tokenizer, 'Ada was', signal)
    const [own = []] = (await (await session()).encode(['Ada was'])).ids
    expect([...ids]).toEqual([0, ...own])
  })

  test('needs a token', async () => {
    await expect(promptTokens(await session(), '', signal)).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'prompt' },
    })
  })

  test('leaves room up to what the model was trained for', () => {
    const model = (maxPositionEmbeddings: number | null) => ({
      path: '/models/base',
      config: { vocabSize: 64, maxPositionEmbeddings } as never,
    })
    const ids = new Int32Array(10)
    expect(roomAfter(ids, 48, model(100))).toBe(48)
    expect(roomAfter(ids, 48, model(20))).toBe(10)
    expect(roomAfter(ids, 48, model(null))).toBe(48)
    expect(() => roomAfter(ids, 48, model(10))).toThrow(
      'The prompt has 10 tokens, and base was trained for 10 positions.',
    )
    expect(() => roomAfter(Int32Array.of(64), 1, model(100))).toThrow('the model knows only 64')
  })
})
