import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GenerateResult, GenerateSpec, JobEvent } from '@shared/jobs'
import { describe, expect, test } from 'vitest'
import { runExpand, runTask } from '../../../support/jobs'
import { DEMO_MODEL } from '../../../support/oracle'
import { expandSpec, generateSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

const PROMPT = 'Ada walked to the'

/** The demo model, grown. */
async function grownDemo(): Promise<string> {
  const out = join(await tempFolder(), 'grown')
  await runExpand(expandSpec({ model: DEMO_MODEL, out, method: { name: 'solar' } }))
  return out
}

async function run(
  changes: Partial<GenerateSpec>,
): Promise<{ result: GenerateResult; events: JobEvent[] }> {
  const spec = generateSpec({ models: [DEMO_MODEL], prompt: PROMPT, tokens: 12, ...changes })
  const { result, events } = await runTask(spec)
  if (result.kind !== 'generate') throw new Error('not a generate result')
  return { result, events }
}

/** The demo model, with other values in one of its JSON files. */
async function demoWith(name: string, values: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = join(await tempFolder(), 'model')
  await cp(DEMO_MODEL, folder, { recursive: true })
  const file = join(folder, name)
  const fields = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
  await writeFile(file, JSON.stringify({ ...fields, ...values }))
  return folder
}

describe('two models', () => {
  test('write one after another, and are compared on the first one’s text', async () => {
    const { result, events } = await run({ models: [DEMO_MODEL, await grownDemo()] })
    const [base, other] = result.continuations
    expect(base?.tokens).toHaveLength(12)
    expect(base).toMatchObject({ num_hidden_layers: 12, end: 'tokens', resident: true })
    expect(other?.num_hidden_layers).toBeGreaterThan(12)
    for (const [model, one] of result.continuations.entries()) {
      const told = events.flatMap((event) =>
        event.type === 'text' && event.stream === `text/${model}` ? [event.text] : [],
      )
      expect(told.join('')).toBe(one.text)
      expect(one.tokens.map(({ text }) => text).join('')).toBe(one.text)
    }
    const { models, places } = result.comparison
    expect(models).toEqual([0, 1])
    expect(places.map(({ id }) => id)).toEqual(base?.tokens.map(({ id }) => id))
    for (const [place, { id, models: said, differs }] of places.entries()) {
      const [first, second] = said
      // It wrote the likeliest.
      expect(first?.next[0]?.id).toBe(id)
      expect(first?.probability).toBe(base?.tokens[place]?.probability)
      expect(first?.next).toHaveLength(5)
      expect(differs).toBe(first?.next[0]?.id !== second?.next[0]?.id)
      const known = second?.next.find((token) => token.id === id)
      if (known) expect(second?.probability).toBeCloseTo(known.probability, 10)
    }
    // Up to the first difference both have written the same.
    const parting = places.findIndex(({ differs }) => differs)
    expect(parting).toBeGreaterThanOrEqual(0)
    expect(other?.tokens.slice(0, parting).map(({ id }) => id)).toEqual(
      base?.tokens.slice(0, parting).map(({ id }) => id),
    )
    expect(other?.tokens[parting]?.id).toBe(places[parting]?.models[1]?.next[0]?.id)
  })

  test('that are the same differ nowhere', async () => {
    const { result } = await run({ models: [DEMO_MODEL, DEMO_MODEL], temperature: 1, seed: 4 })
    const [a, b] = result.continuations
    expect(b?.text).toBe(a?.text)
    for (const { models, differs } of result.comparison.places) {
      expect(differs).toBe(false)
      expect(models[1]?.probability).toBeCloseTo(models[0]?.probability ?? NaN, 5)
    }
  })

  test('of different tokenizers have texts only', async () => {
    const other = await demoWith('tokenizer_config.json', { padding_side: 'left' })
    const { result, events } = await run({ models: [DEMO_MODEL, other] })
    expect(result.continuations).toHaveLength(2)
    expect(result.comparison.models).toEqual([0])
    expect(result.comparison.places[0]?.models).toHaveLength(1)
    const plan = events.find((event) => event.type === 'plan')
    expect(plan?.steps.map(({ id }) => id)).toEqual(['0/write', '1/write'])
  })
})

test('every step that was announced is finished', async () => {
  const { events } = await run({ models: [DEMO_MODEL, await grownDemo()], tokens: 3 })
  const plan = events.find((event) => event.type === 'plan')
  for (const { id } of plan?.steps ?? []) {
    const last = events.findLast((event) => event.type === 'step' && event.id === id)
    expect(last?.type === 'step' && last.done / last.total, id).toBe(1)
  }
  expect(plan?.steps.map(({ id }) => id)).toEqual(['0/write', '1/write', '1/compare'])
})

test('a seed draws the same text again, and another one another', async () => {
  const draw = async (seed: number) => {
    const { result } = await run({ temperature: 1.5, topK: 200, topP: 0.99, seed })
    return result.continuations[0]?.text
  }
  const first = await draw(1)
  expect(await draw(1)).toBe(first)
  expect(await draw(2)).not.toBe(first)
})

test('weights that do not fit are read again for each token, to the same end', async () => {
  const resident = await run({})
  const streamed = await run({ memoryBytes: 136e6 })
  expect(streamed.result.continuations[0]).toMatchObject({
    resident: false,
    text: resident.result.continuations[0]?.text,
  })
  const said = streamed.events.flatMap((event) => (event.type === 'log' ? [event.text] : []))
  expect(said).toEqual([expect.stringMatching(/a token takes about .*read again for each/)])
})

test('ends with any token that ends a text, which is no part of it', async () => {
  const { result } = await run({})
  const [written] = result.continuations
  const stop = written?.tokens[4]
  const model = await demoWith('generation_config.json', { eos_token_id: [1, stop?.id ?? 0] })
  const ended = (await run({ models: [model] })).result.continuations[0]
  const first = written?.tokens.findIndex(({ id }) => id === stop?.id) ?? NaN
  expect(ended?.end).toBe('end_of_text')
  expect(ended?.tokens.map(({ id }) => id)).toEqual(
    written?.tokens.slice(0, first + 1).map(({ id }) => id),
  )
  expect(ended?.text).toBe(
    written?.tokens
      .slice(0, first)
      .map(({ text }) => text)
      .join(''),
  )
})

test('writes no further than the model was trained for, and says so', async () => {
  const model = await demoWith('config.json', { max_position_embeddings: 12 })
  const { result, events } = await run({ models: [model] })
  const [one] = result.continuations
  expect(one?.end).toBe('context')
  expect((one?.prompt_tokens ?? 0) + (one?.tokens.length ?? 0)).toBe(12)
  expect(events.some((event) => event.type === 'log' && event.text.includes('12 positions'))).toBe(
    true,
  )
})

describe('before any work', () => {
  const refused = async (changes: Partial<GenerateSpec>): Promise<unknown> => {
    const events: JobEvent[] = []
    const spec = generateSpec({ models: [DEMO_MODEL], prompt: PROMPT, tokens: 12, ...changes })
    const error = await runTask(spec, { onEvent: (event) => events.push(event) }).catch(
      (thrown: unknown) => thrown,
    )
    expect(events.filter(({ type }) => type === 'step' || type === 'text')).toEqual([])
    return error
  }

  test('refuses a prompt longer than the context', async () => {
    expect(await refused({ prompt: 'Ada walked to the hill. '.repeat(40) })).toMatchObject({
      code: 'bad_request',
      message: expect.stringMatching(
        /^The prompt has \d+ tokens, and demo-model was trained for 192 positions/,
      ) as unknown,
      context: { field: 'prompt', expected: 'fewer than 192 tokens' },
    })
  })

  test('refuses a model without a tokenizer, also the second', async () => {
    const model = join(await tempFolder(), 'model')
    await cp(DEMO_MODEL, model, { recursive: true })
    await rm(join(model, 'tokenizer.json'))
    expect(await refused({ models: [DEMO_MODEL, model] })).toMatchObject({
      code: 'bad_tokenizer',
      context: { file: join(model, 'tokenizer.json') },
    })
  })

  test('refuses a bound that not even one layer at a time keeps', async () => {
    expect(await refused({ memoryBytes: 1e6 })).toMatchObject({ code: 'not_enough_memory' })
  })

  test('refuses what is no model', async () => {
    expect(await refused({ models: [DEMO_MODEL, '/nowhere'] })).toMatchObject({ code: 'not_found' })
  })
})

test('is cancelled between two layers', async () => {
  const controller = new AbortController()
  const spec = generateSpec({ models: [DEMO_MODEL], prompt: PROMPT, tokens: 100 })
  const end = runTask(spec, {
    signal: controller.signal,
    onEvent: ({ type }) => type === 'text' && controller.abort(),
  })
  await expect(end).rejects.toMatchObject({ name: 'AbortError' })
})
