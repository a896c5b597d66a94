import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { pairedDifference } from '@shared/difference'
import type { EvaluateResult, EvaluateSpec, JobEvent, PerplexityResult } from '@shared/jobs'
import { run as evaluate } from '../../src/main/engine/jobs/evaluate'
import { writeTinyCheckpoint } from '../support/checkpoints'
import { DEMO_MODEL, oracle } from '../support/oracle'
import { evaluateSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'
import { otherTheta, pairReference } from '../support/verdictPair'

const DEMO_TEXT = join(DEMO_MODEL, 'eval.txt')

interface Run {
  readonly events: readonly JobEvent[]
  readonly result: EvaluateResult
}

async function run(
  changes: Partial<EvaluateSpec>,
  onEvent: (event: JobEvent) => void = () => undefined,
  signal = new AbortController().signal,
): Promise<Run> {
  const events: JobEvent[] = []
  const job = evaluate(evaluateSpec({ models: [DEMO_MODEL], text: DEMO_TEXT, ...changes }), {
    signal,
  })
  for (;;) {
    const next = await job.next()
    if (next.done) return { events, result: next.value }
    events.push(next.value)
    onEvent(next.value)
  }
}

/** A demo model of other weights, so that it shares the tokenizer but not the answer. */
async function otherModel(): Promise<string> {
  const dir = join(await tempFolder(), 'other')
  return writeTinyCheckpoint({ dir, architecture: 'qwen2', vocab: 512, tieWordEmbeddings: true })
}

async function textFile(content: string | Uint8Array): Promise<string> {
  const file = join(await tempFolder(), 'text.txt')
  await writeFile(file, content)
  return file
}

describe('the demo model', () => {
  test("has the oracle's perplexity on its text", async () => {
    const { result, events } = await run({})
    const [only] = result.results
    expect(result.results).toHaveLength(1)
    expect(only).toMatchObject({
      model: DEMO_MODEL,
      tokens: oracle.tokens,
      context: oracle.context,
      predicted: Math.floor(oracle.tokens / oracle.context) * (oracle.context - 1),
      num_hidden_layers: 12,
    })
    // The requirement is 1e-4; float32 on both sides agrees far better.
    expect(Math.abs((only?.perplexity ?? NaN) / oracle.ppl.base - 1)).toBeLessThan(2e-6)
    expectWholeRun(events, 1)
  })

  test('has another perplexity line by line', async () => {
    const lines = (await readFile(DEMO_TEXT, 'utf8')).split('\n').slice(0, 12)
    const text = await textFile(`\n${lines.join('\r\n')}\n\n`)
    const { result } = await run({ text, perLine: true })
    const alone: number[] = []
    for (const line of lines.filter((each) => each.trim() !== '')) {
      const each = await run({ text: await textFile(line) })
      alone.push(each.result.results[0]?.perplexity ?? NaN)
    }
    const mean = alone.reduce((sum, value) => sum + value, 0) / alone.length
    expect(alone.length).toBeGreaterThan(3)
    expect(result.results[0]?.perplexity).toBeCloseTo(mean, 4)
  })
})

test('several models are measured one after another on the same text', async () => {
  const other = await otherModel()
  const text = await textFile((await readFile(DEMO_TEXT, 'utf8')).slice(0, 3000))
  const { result, events } = await run({
    models: [DEMO_MODEL, other, DEMO_MODEL],
    text,
    context: 64,
  })
  const [first, second, third] = result.results
  expect(result.results.map(({ model }) => model)).toEqual([DEMO_MODEL, other, DEMO_MODEL])
  expect(third?.perplexity).toBe(first?.perplexity)
  expect(second?.tokens).toBe(first?.tokens)
  expect(second?.context).toBe(64)
  // Random weights know nothing: about as many choices as there are tokens.
  expect(second?.perplexity).toBeGreaterThan(100)
  expectWholeRun(events, 3)
})

describe('beside a base', () => {
  test('each model comes with what PyTorch finds between it and the base', async () => {
    const other = await otherTheta()
    const { ids, length, per_token, difference } = pairReference
    const { result, events } = await run({
      models: [other, DEMO_MODEL],
      base: DEMO_MODEL,
      context: length,
    })
    const [model, base] = result.results
    expect(result.base).toBeUndefined()
    expect(base?.against_base).toBeUndefined()
    expect(model?.window_tokens?.slice(0, 12)).toEqual(Array.from({ length: 12 }, () => length - 1))
    // The reference has the first windows of the text only.
    const windows = ids.length / length
    const first = (one: PerplexityResult | undefined) => ({
      windowNll: one?.window_nll?.slice(0, windows) ?? [],
      windowTokens: one?.window_tokens?.slice(0, windows) ?? [],
    })
    const found = pairedDifference(first(model), first(base))
    for (const end of ['mean', 'low', 'high'] as const) {
      expect(Math.abs((found?.[end] ?? NaN) - difference[end])).toBeLessThan(1e-5)
    }
    const against = model?.against_base
    expect(against?.tokens).toBe(model?.predicted)
    expect(against?.difference?.outcome).toBe('higher')
    expect(Math.log((model?.perplexity ?? NaN) / (base?.perplexity ?? NaN))).toBeCloseTo(
      against?.difference?.mean ?? NaN,
      6,
    )
    // Of the whole text: near those of its beginning.
    expect(Math.abs((against?.kl ?? NaN) - per_token.kl)).toBeLessThan(0.01)
    expect(against?.kl_standard_error).toBeLessThan(0.005)
    expect(Math.abs((against?.top1_agreement ?? NaN) - per_token.top1_agreement)).toBeLessThan(0.02)
    expect(warningsOf(events)).toEqual([])
    expectWholeRun(events, 2)
  })

  test('that is not among the models, which is measured as well', async () => {
    const text = await textFile((await readFile(DEMO_TEXT, 'utf8')).slice(0, 3000))
    const { result, events } = await run({ models: [DEMO_MODEL], base: await otherTheta(), text })
    expect(result.results.map(({ model }) => model)).toEqual([DEMO_MODEL])
    expect(result.base?.perplexity).toBeGreaterThan(result.results[0]?.perplexity ?? NaN)
    expect(result.results[0]?.against_base?.kl).toBeGreaterThan(0.01)
    expectWholeRun(events, 2)
  })

  test('a model is nothing away from itself', async () => {
    const text = await textFile((await readFile(DEMO_TEXT, 'utf8')).slice(0, 3000))
    const copy = join(await tempFolder(), 'copy')
    await cp(DEMO_MODEL, copy, { recursive: true })
    const { result } = await run({ models: [copy], base: DEMO_MODEL, text, perLine: true })
    const against = result.results[0]?.against_base
    expect(against?.top1_agreement).toBe(1)
    expect(against?.kl).toBeLessThan(1e-12)
    expect(Math.abs(against?.difference?.mean ?? NaN)).toBeLessThan(1e-6)
    expect(against?.difference?.outcome).toBe('not_distinguishable')
  })

  test('models with other tokens are measured by themselves, with a remark', async () => {
    const text = await textFile((await readFile(DEMO_TEXT, 'utf8')).slice(0, 3000))
    const wider = join(await tempFolder(), 'wider')
    await writeTinyCheckpoint({ dir: wider, vocab: 520 })
    const tokens = join(await tempFolder(), 'tokens')
    await cp(DEMO_MODEL, tokens, { recursive: true })
    for (const folder of [wider, tokens]) {
      const file = join(folder, 'tokenizer.json')
      await cp(join(DEMO_MODEL, 'tokenizer.json'), file)
      const json = JSON.parse(await readFile(file, 'utf8')) as { model: { merges: unknown[] } }
      if (folder === tokens) json.model.merges.splice(-40)
      await writeFile(file, JSON.stringify(json))
    }
    const { result, events } = await run({
      models: [wider, DEMO_MODEL, tokens],
      base: DEMO_MODEL,
      text,
    })
    expect(result.results.map(({ model }) => model)).toEqual([wider, DEMO_MODEL, tokens])
    const [first, , last] = result.results
    expect(first?.not_compared).toMatch(/vocabulary of 520 tokens, the base one of 512/)
    expect(last?.not_compared).toMatch(/other tokens for this text/)
    for (const one of [first, last]) {
      expect(one?.against_base).toBeUndefined()
      expect(one?.perplexity).toBeGreaterThan(1)
    }
    expect(warningsOf(events).filter((each) => each.includes('by itself'))).toHaveLength(2)
    expectWholeRun(events, 3)
  })
})

describe('context', () => {
  test("is the model's own where nothing is asked for", async () => {
    const other = await otherModel()
    const { result } = await run({ models: [other] })
    expect(result.results[0]?.context).toBe(256)
  })

  test('beyond it is computed, with a warning', async () => {
    const text = await textFile((await readFile(DEMO_TEXT, 'utf8')).slice(0, 6000))
    const { result, events } = await run({ text, context: 300 })
    expect(result.results[0]?.context).toBe(300)
    expect(warningsOf(events)).toEqual([expect.stringContaining('192 positions')])
  })
})

describe('how far a perplexity can be trusted', () => {
  test('comes with it: what was scored, and an interval that halves cannot leave', async () => {
    const text = await readFile(DEMO_TEXT, 'utf8')
    const { result, events } = await run({})
    const { perplexity = NaN, standardError } = result.results[0] ?? {}
    expect(standardError).toBeGreaterThan(0)
    expect(warningsOf(events)).toEqual([])
    for (const half of [text.slice(0, text.length / 2), text.slice(text.length / 2)]) {
      const [part] = (await run({ text: await textFile(half) })).result.results
      const off = Math.log((part?.perplexity ?? NaN) / perplexity)
      expect(Math.abs(off)).toBeLessThan(3 * (part?.standardError ?? NaN))
      expect(part?.standardError).toBeGreaterThan(standardError ?? NaN)
    }
  })

  test('is said where it is little', async () => {
    const few = (await readFile(DEMO_TEXT, 'utf8')).slice(0, 20)
    const { result, events } = await run({ text: await textFile(few) })
    expect(result.results[0]?.predicted).toBeLessThan(20)
    expect(warningsOf(events)).toEqual([expect.stringMatching(/Only \d+ tokens were scored/)])
    // A model of the same tokenizer that knows nothing.
    const other = await run({ models: [await otherModel()] })
    expect(other.result.results[0]?.perplexity).toBeGreaterThan(512)
    expect(warningsOf(other.events)).toEqual([expect.stringContaining('512 tokens')])
  })
})

test('a byte order mark is not part of the text', async () => {
  const text = (await readFile(DEMO_TEXT, 'utf8')).slice(0, 3000)
  const plain = await run({ text: await textFile(text) })
  const marked = await run({ text: await textFile(`\ufeff${text}`) })
  expect(marked.result.results[0]?.tokens).toBe(plain.result.results[0]?.tokens)
  expect(marked.result.results[0]?.perplexity).toBe(plain.result.results[0]?.perplexity)
})

test('what the tokenizer leaves out is said', async () => {
  const text = `${(await readFile(DEMO_TEXT, 'utf8')).slice(0, 300)} 你好`
  const dir = join(await tempFolder(), 'model')
  await cp(DEMO_MODEL, dir, { recursive: true })
  const json = JSON.parse(await readFile(join(dir, 'tokenizer.json'), 'utf8')) as object
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify({ ...json, pre_tokenizer: null }))
  const { events } = await run({ models: [dir, dir], text: await textFile(text) })
  // Once, though two models have it.
  expect(warningsOf(events).filter((each) => each.includes('你'))).toHaveLength(1)
})

describe('what cannot be measured', () => {
  test('is told apart by code', async () => {
    const noTokenizer = join(await tempFolder(), 'model')
    await writeTinyCheckpoint({ dir: noTokenizer, vocab: 64 })
    const wrongTokenizer = join(await tempFolder(), 'model')
    await writeTinyCheckpoint({ dir: wrongTokenizer, vocab: 64 })
    await cp(join(DEMO_MODEL, 'tokenizer.json'), join(wrongTokenizer, 'tokenizer.json'))
    const other = join(await tempFolder(), 'model')
    const config = { rope_scaling: { rope_type: 'proportional', factor: 2 } }
    await writeTinyCheckpoint({ dir: other, vocab: 512, config })
    const cases: readonly (readonly [Partial<EvaluateSpec>, string])[] = [
      [{ text: join(await tempFolder(), 'none.txt') }, 'not_found'],
      [{ text: await textFile(Uint8Array.of(0xff, 0xfe, 0x41)) }, 'bad_request'],
      [{ text: await textFile('') }, 'bad_request'],
      [{ text: await tempFolder() }, 'bad_request'],
      [{ models: [join(await tempFolder(), 'none')] }, 'not_found'],
      [{ models: [noTokenizer] }, 'bad_tokenizer'],
      [{ models: [wrongTokenizer] }, 'bad_tokenizer'],
      [{ models: [other] }, 'unsupported_architecture'],
    ]
    for (const [changes, code] of cases) {
      await expect(run(changes)).rejects.toThrow(expect.objectContaining({ code }))
    }
  })

  test('a wrong model among many is told before the first is measured', async () => {
    const events: JobEvent[] = []
    const models = [DEMO_MODEL, join(await tempFolder(), 'none')]
    await expect(run({ models }, (event) => events.push(event))).rejects.toThrow(
      expect.objectContaining({ code: 'not_found' }),
    )
    expect(events).toEqual([])
  })
})

test('a cancel ends it at the next run', async () => {
  const controller = new AbortController()
  const events: JobEvent[] = []
  const job = run(
    {},
    (event) => {
      events.push(event)
      if (event.type === 'step') controller.abort()
    },
    controller.signal,
  )
  await expect(job).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
  expect(events.filter(({ type }) => type === 'step')).toHaveLength(1)
})

function warningsOf(events: readonly JobEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === 'log' && event.level === 'warning' ? [event.text] : [],
  )
}

/** A plan, a device, then every step from its start to its end. */
function expectWholeRun(events: readonly JobEvent[], models: number): void {
  expect(events.slice(0, 2).map(({ type }) => type)).toEqual(['plan', 'device'])
  const [plan] = events
  const ids = plan?.type === 'plan' ? plan.steps.map(({ id }) => id) : []
  expect(ids).toHaveLength(2 * models)
  for (const id of ids) {
    const steps = events.flatMap((event) =>
      event.type === 'step' && event.id === id ? [event] : [],
    )
    const total = steps[0]?.total ?? NaN
    expect(steps.map(({ done }) => done)).toEqual(Array.from({ length: total }, (_, i) => i + 1))
  }
}
