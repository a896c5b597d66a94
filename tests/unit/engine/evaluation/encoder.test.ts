import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { encodeApart, timeLimit } from '../../../../src/main/engine/evaluation/encoder'
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
