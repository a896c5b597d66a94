import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readFit } from '@shared/fitReading'
import type { ExpandResult, ExpandSpec, JobEvent } from '@shared/jobs'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { PROJECT } from '../support/built'
import { decodeSafetensors, writeTinyCheckpoint } from '../support/checkpoints'
import { runEvaluate, runTask } from '../support/jobs'
import { evaluateSpec, expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const GAPS = [1, 1, 3]

let folder: string
let base: string
let text: string
let other: string

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'lesa-fitted-')))
  base = await writeTinyCheckpoint({
    dir: join(folder, 'base'),
    layers: 4,
    hidden: 16,
    vocab: 512,
    mlpBias: true,
    config: { bos_token_id: 1, eos_token_id: 2 },
  })
  const words = await readFile(join(PROJECT, 'resources/demo-texts/ledger.txt'), 'utf8')
  ;[text, other] = [join(folder, 'new text.txt'), join(folder, 'old.txt')]
  await writeFile(text, words.slice(0, 12_000))
  await writeFile(other, words.slice(12_000, 20_000))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

interface Ran {
  readonly result: ExpandResult
  readonly events: readonly JobEvent[]
}

async function fit(
  changes: Partial<ExpandSpec> = {},
  options: Parameters<typeof runTask>[1] = {},
): Promise<Ran> {
  const { result, events } = await runTask(
    expandSpec({
      model: base,
      out: join(await tempFolder(), 'out'),
      method: { name: 'fitted', gaps: GAPS, rounds: 1 },
      calibration: { text, tokens: 1024, context: 64 },
      ...changes,
    }),
    options,
  )
  if (result.kind !== 'expand') throw new Error('not an expand result')
  return { result, events }
}

const tensorsOf = async (folder: string): Promise<Map<string, Uint8Array>> => {
  const { tensors } = await decodeSafetensors(join(folder, 'model.safetensors'))
  return new Map(tensors.map(({ name, bytes }) => [name, bytes]))
}

describe('a start that is fitted to a text', () => {
  it('is LLaMA Pro’s but for the output matrices of the new layers, and lower on what it did not see', async () => {
    const { result, events } = await fit()
    const { result: pro } = await runTask(
      expandSpec({
        model: base,
        out: join(await tempFolder(), 'pro'),
        method: { name: 'llama-pro', gaps: GAPS },
      }),
    )
    if (pro.kind !== 'expand') throw new Error('not an expand result')
    expect(result.new_layers).toEqual([2, 3, 6])
    const [own, zero] = [await tensorsOf(result.out), await tensorsOf(pro.out)]
    expect([...own.keys()]).toEqual([...zero.keys()])
    const changed = [...own].flatMap(([name, bytes]) =>
      Buffer.compare(bytes, zero.get(name)!) === 0 ? [] : [name],
    )
    expect(changed.sort()).toEqual(
      [2, 3, 6].flatMap((layer) =>
        ['mlp.down_proj.weight', 'self_attn.o_proj.weight'].map(
          (name) => `model.layers.${layer}.${name}`,
        ),
      ),
    )

    const { fit: report } = result
    expect(report).toMatchObject({
      texts: [{ name: 'new text.txt' }],
      old_texts: [],
      context: 64,
      rounds: [{ tokens: 16 * 63 }],
      unseen_old: null,
    })
    expect(report?.rounds[0]?.step).toBeGreaterThan(0)
    expect(report?.unseen.after).toBeLessThan(report?.unseen.before ?? 0)
    // What the report says is what the written model has, up to its 16 bits.
    const measured = await runEvaluate(
      evaluateSpec({ models: [base, pro.out, result.out], text, context: 64 }),
    )
    const [before, same, after] = measured.results.map(({ perplexity }) => Math.log(perplexity))
    expect(Math.abs(same! - before!)).toBeLessThan(1e-6)
    expect(after).toBeLessThan(before! - 0.1)
    expect(Math.abs(before! - report!.unseen.before)).toBeLessThan(0.1)

    const lesa = JSON.parse(await readFile(join(result.out, 'lesa.json'), 'utf8')) as {
      fit: unknown
      settings: unknown
    }
    expect(lesa.fit).toEqual(report)
    expect(lesa.settings).toMatchObject({ gaps: GAPS, rounds: 1 })
    const card = await readFile(join(result.out, 'README.md'), 'utf8')
    expect(card).toContain('## Fit')
    expect(card).toContain(readFit(report!)[0])
    expect(card).toContain('output projections fitted')
    expect(card).not.toContain(text)

    const planned = events.flatMap((event) =>
      event.type === 'plan' ? event.steps.map(({ id }) => id) : [],
    )
    expect(planned).toEqual(['fit/texts', 'fit/round-0', 'fit/unseen', 'write'])
    const ends = new Map(
      events.flatMap((event) =>
        event.type === 'step' ? [[event.id, event.done === event.total]] : [],
      ),
    )
    expect([...ends]).toEqual(planned.map((id) => [id, true]))
    for (const event of events) {
      if (event.type === 'step') expect(event.done).toBeLessThanOrEqual(event.total)
    }
  })

  it('has the same bytes with the same command, and others with another seed', async () => {
    const [one, two, three] = [await fit(), await fit(), await fit({ seed: 1 })]
    const files = async ({ result }: Ran): Promise<Buffer> =>
      readFile(join(result.out, 'model.safetensors'))
    expect(Buffer.compare(await files(one), await files(two))).toBe(0)
    expect(Buffer.compare(await files(one), await files(three))).not.toBe(0)
  })

  it('takes further rounds on other windows, each from where the last one left it', async () => {
    const { result } = await fit({ method: { name: 'fitted', gaps: GAPS, rounds: 3 } })
    const rounds = result.fit?.rounds ?? []
    expect(rounds).toHaveLength(3)
    const losses = rounds.map(({ loss }) => loss)
    expect(losses[1]).toBeLessThan(losses[0]!)
    expect(losses[2]).toBeLessThan(losses[1]!)
    const { result: single } = await fit()
    expect(result.fit?.unseen.after).toBeLessThan(single.fit?.unseen.after ?? 0)
  })

  it('tells what became of the old text, which is a part of what it is fitted to', async () => {
    const calibration = { text, oldText: other, tokens: 1024, context: 64 }
    const { result } = await fit({ calibration })
    expect(result.fit).toMatchObject({
      texts: [{ name: 'new text.txt' }],
      old_texts: [{ name: 'old.txt' }],
      rounds: [{ tokens: 16 * 63 }],
    })
    expect(result.fit?.unseen_old?.tokens).toBeGreaterThan(0)
    expect(readFit(result.fit!)).toHaveLength(2)
  })

  it('goes on with the rounds that are kept when it is given again', async () => {
    const job = join(await tempFolder(), 'job')
    const spec = { method: { name: 'fitted', gaps: GAPS, rounds: 3 } as const, job }
    const stopped = new AbortController()
    await expect(
      fit(spec, {
        signal: stopped.signal,
        onEvent: (event) => {
          if (event.type === 'step' && event.id === 'fit/round-1' && event.done > 0) stopped.abort()
        },
      }),
    ).rejects.toThrow()
    expect(await readdir(join(job, 'stages'))).toEqual([
      expect.stringMatching(/^fit-1-[0-9a-f]{16}$/),
      expect.stringMatching(/^tokens-/),
    ])
    const again = await fit(spec)
    const kept = again.events.flatMap((event) =>
      event.type === 'step' && event.kept !== undefined ? [event.id] : [],
    )
    expect(kept).toEqual(['fit/round-0'])
    const whole = await fit({ method: spec.method })
    expect(again.result.fit).toEqual(whole.result.fit)
    expect(await tensorsOf(again.result.out)).toEqual(await tensorsOf(whole.result.out))
  })

  it('leaves nothing behind when it is cancelled', async () => {
    const folder = await tempFolder()
    const stopped = new AbortController()
    await expect(
      fit(
        { out: join(folder, 'out') },
        {
          signal: stopped.signal,
          onEvent: (event) => {
            if (event.type === 'step' && event.id === 'fit/round-0' && event.done > 5)
              stopped.abort()
          },
        },
      ),
    ).rejects.toThrow()
    expect(await readdir(folder)).toEqual([])
  })
})

test('on the model’s own text there is nothing to gain, and the start is LLaMA Pro’s, byte for byte', async () => {
  const model = join(PROJECT, 'resources/demo-model')
  const own = { text: join(model, 'eval.txt'), tokens: 1024, context: 64 }
  const gaps = [8, 9]
  const { result } = await fit({
    model,
    calibration: own,
    method: { name: 'fitted', gaps, rounds: 2 },
  })
  expect(result.fit?.rounds.map(({ step }) => step)).toEqual([0])
  expect(result.fit?.unseen.after).toBe(result.fit?.unseen.before)
  const { result: pro } = await runTask(
    expandSpec({
      model,
      out: join(await tempFolder(), 'pro'),
      method: { name: 'llama-pro', gaps },
    }),
  )
  if (pro.kind !== 'expand') throw new Error('not an expand result')
  expect(await tensorsOf(result.out)).toEqual(await tensorsOf(pro.out))
})

describe('what cannot be fitted', () => {
  it.each<[string, () => Partial<ExpandSpec>, object]>([
    [
      'without a text',
      () => ({ calibration: undefined }),
      { code: 'bad_request', context: { field: 'calibration' } },
    ],
    [
      'to a text that is not there',
      () => ({ calibration: { text: join(base, 'none.txt') } }),
      { code: 'not_found' },
    ],
    [
      'to a text of a few words',
      () => ({ calibration: { text: join(base, 'config.json'), context: 4096 } }),
      { code: 'bad_request' },
    ],
    [
      'to windows of which the text has too few',
      () => ({ calibration: { text, context: 2048 } }),
      {
        code: 'bad_request',
        context: { field: 'text', expected: '5 windows of 2048 tokens' },
      },
    ],
    [
      'in too little memory',
      () => ({ memoryBytes: 1e6 }),
      { code: 'not_enough_memory', context: { field: 'memory' } },
    ],
    [
      'after a layer that there is not',
      () => ({ method: { name: 'fitted', gaps: [4], rounds: 1 } }),
      { code: 'bad_request', context: { field: 'gaps' } },
    ],
  ])('%s', async (_, changes, error) => {
    const folder = await tempFolder()
    await expect(fit({ out: join(folder, 'out'), ...changes() })).rejects.toMatchObject(error)
    expect(await readdir(folder)).toEqual([])
  })

  it('a model whose weights are no numbers, which names the layer', async () => {
    const broken = await writeTinyCheckpoint({
      dir: join(await tempFolder(), 'broken'),
      layers: 4,
      hidden: 16,
      vocab: 512,
      scale: (name) => (name.includes('layers.2.mlp.up_proj') ? Infinity : 1),
    })
    await expect(fit({ model: broken })).rejects.toMatchObject({
      code: 'numeric_failure',
      context: { stage: 'layer 2' },
    })
    await Checkpoint.inspect(broken)
  })
})
