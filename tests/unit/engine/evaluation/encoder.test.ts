import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { encodeApart, Encoder, timeLimit } from '../../../../src/main/engine/evaluation/encoder'
import type { EncodeRequest } from '../../../../src/main/engine/evaluation/tokenizerProcess'
import { DEMO_MODEL } from '../../../support/oracle'

const tokenizer = readFileSync(join(DEMO_MODEL, 'tokenizer.json'), 'utf8')

const request = (changes: Partial<EncodeRequest> = {}): EncodeRequest => ({
  library: 'native',
  tokenizer,
  config: '{}',
  tokens: [],
  texts: ['One text.', '', 'Another.'],
  ...changes,
})

const signal = new AbortController().signal

describe.each([
  ['a process', false],
  ['a thread', true],
])('%s', (_, inThread) => {
  const limits = { signal, limitMs: 60_000, inThread }

  test('gives the ids of every text', async () => {
    const answer = await encodeApart(request(), limits)
    expect(answer.state).toBe('done')
    const ids = answer.state === 'done' ? answer.ids : []
    expect(ids.map((each) => each.length > 0)).toEqual([true, false, true])
    const alone = await encodeApart(request({ texts: ['Another.'] }), limits)
    expect(alone).toMatchObject({ ids: [ids[2]] })
  })

  test('says what the library refuses', async () => {
    const answer = await encodeApart(request({ tokenizer: '{}' }), limits)
    expect(answer).toMatchObject({ state: 'failed', part: 'tokenizer' })
  })

  test('ends after its time', async () => {
    const answer = await encodeApart(request(), { ...limits, limitMs: 0 })
    expect(answer).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('longer') as unknown,
    })
  })

  test('ends on a cancel, also one that came before', async () => {
    const controller = new AbortController()
    const run = encodeApart(request(), { ...limits, signal: controller.signal })
    controller.abort()
    await expect(run).rejects.toBe(controller.signal.reason)
    await expect(encodeApart(request(), { ...limits, signal: controller.signal })).rejects.toBe(
      controller.signal.reason,
    )
  })
})

test('a longer text has more time', () => {
  expect(timeLimit(1e8)).toBeGreaterThan(timeLimit(1e6))
})

describe.each([
  ['a process', false],
  ['a thread', true],
])('an encoder in %s', (_, inThread) => {
  const limits = { signal, limitMs: 60_000 }
  const { texts: _texts, ...source } = request()
  const started = (changes: Partial<EncodeRequest> = {}): Encoder => {
    const encoder = new Encoder({ ...source, ...changes }, inThread)
    onTestFinished(() => encoder.end())
    return encoder
  }

  test('answers one request after another, each with what its own texts drop', async () => {
    const model = { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }
    const encoder = started({
      tokenizer: JSON.stringify({ version: '1.0', added_tokens: [], model }),
    })
    const answers = []
    for (const texts of [['ab', 'x'], ['b'], ['x']])
      answers.push(await encoder.encode(texts, limits))
    expect(answers).toMatchObject([
      { ids: [{ length: 2 }, { length: 0 }], dropped: ['x'] },
      { ids: [{ length: 1 }], dropped: [] },
      { ids: [{ length: 0 }], dropped: ['x'] },
    ])
  })

  test('gives the ids that a process of its own gives', async () => {
    const encoder = started()
    await encoder.encode(['Something else.'], limits)
    expect(await encoder.encode(request().texts, limits)).toEqual(
      await encodeApart(request(), { ...limits, inThread }),
    )
  })

  test('answers no more once it has ended', async () => {
    const encoder = started()
    await encoder.encode(['a'], limits)
    const late = await encoder.encode(['some words '.repeat(1e5)], { signal, limitMs: 1 })
    expect(late).toMatchObject({ state: 'failed' })
    expect(await encoder.encode(['a'], limits)).toMatchObject({ state: 'failed' })
  })
})
