import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobEvent, PlaceResult, PlaceSpec } from '@shared/jobs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { PROJECT } from '../support/built'
import { writeTinyCheckpoint } from '../support/checkpoints'
import { runExpand, runTask } from '../support/jobs'
import { expandSpec, placeSpec } from '../support/specs'

const LAYERS = 4
let root: string
let base: string
let text: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'lesa-places-'))
  base = await writeTinyCheckpoint({
    dir: join(root, 'base'),
    layers: LAYERS,
    hidden: 16,
    vocab: 512,
    config: { bos_token_id: 1, eos_token_id: 2 },
  })
  text = join(root, 'text.txt')
  const words = await readFile(join(PROJECT, 'resources/demo-model/eval.txt'), 'utf8')
  await writeFile(text, words.slice(0, 12_000))
  // A place of its own for what a measurement keeps while it runs, so that others do not count.
  for (const name of ['TMPDIR', 'TEMP', 'TMP']) vi.stubEnv(name, root)
})

afterAll(() => vi.unstubAllEnvs())
afterAll(() => rm(root, { recursive: true, force: true }))

const spec = (changes: Partial<PlaceSpec> = {}): PlaceSpec =>
  placeSpec({ model: base, text, tokens: 1024, context: 32, ...changes })

async function measured(
  changes: Partial<PlaceSpec> = {},
): Promise<{ result: PlaceResult; events: JobEvent[] }> {
  const { result, events } = await runTask(spec(changes))
  if (result.kind !== 'place') throw new Error('not a place result')
  return { result, events }
}

describe('a measurement of places', () => {
  it('tells every layer, every gap and every block, from disjoint shares of the text', async () => {
    const { result, events } = await measured({ blocks: 2 })
    const { report } = result
    expect(report.layers.map(({ layer }) => layer)).toEqual([0, 1, 2, 3])
    expect(report.gaps.map(({ gap }) => gap)).toEqual([0, 1, 2, 3])
    expect(report.repeats.map(({ first, end }) => `${first}-${end}`)).toEqual([
      '0-1',
      '0-2',
      '1-2',
      '1-3',
      '2-3',
      '2-4',
      '3-4',
    ])
    expect(report.tokens.calibration).toBe(1024)
    expect(report.gaps.at(-1)!.candidates.map(({ candidate }) => candidate)).toEqual(['copy'])
    for (const { fit } of report.gaps) {
      // The step was chosen on other windows, and the model is random: all of it helps.
      expect(fit.loss).toBeLessThan(report.base_loss)
      expect(fit.difference!.outcome).toBe('lower')
    }
    const plan = events.find(({ type }) => type === 'plan')
    expect(plan?.type === 'plan' && plan.steps.map(({ id }) => id)).toEqual([
      'text',
      'weights',
      'slopes',
      'effects',
    ])
    expect((await readdir(tmpdir())).some((name) => name.startsWith('lesa-place-'))).toBe(false)
  })

  it('gives the same twice, and other shares with another seed', async () => {
    const [a, b, other] = [await measured(), await measured(), await measured({ seed: 1 })]
    expect(b.result.report).toEqual(a.result.report)
    expect(other.result.report.base_loss).not.toBe(a.result.report.base_loss)
  })

  it('scores the new layers of a grown model: copies as copies, identities as nothing', async () => {
    const [copies, identities] = [join(root, 'copies'), join(root, 'identities')]
    const gaps = [0, 2, 2]
    await runExpand(
      expandSpec({ model: base, out: copies, method: { name: 'interpolation', gaps } }),
    )
    await runExpand(
      expandSpec({ model: base, out: identities, method: { name: 'llama-pro', gaps } }),
    )
    const { result } = await measured({ candidates: [copies, identities] })
    const scores = (name: string): (number | undefined)[] =>
      result.report.gaps.map(
        ({ candidates }) => candidates.find(({ candidate }) => candidate === name)?.gradient,
      )
    const copy = scores('copy')
    expect(scores(copies)[0]).toBeCloseTo(copy[0]!, 6)
    // Two copies in one gap promise twice as much.
    expect(scores(copies)[2]).toBeCloseTo(2 * copy[2]!, 6)
    expect(scores(copies)[1]).toBeUndefined()
    expect(scores(identities)[0]).toBeCloseTo(0, 9)
  })

  it('ends at once when it is cancelled, and leaves nothing', async () => {
    const controller = new AbortController()
    await expect(
      runTask(spec(), {
        signal: controller.signal,
        onEvent: (event) => {
          if (event.type === 'step' && event.id === 'effects') controller.abort()
        },
      }),
    ).rejects.toThrow()
    expect((await readdir(tmpdir())).some((name) => name.startsWith('lesa-place-'))).toBe(false)
  })
})

describe('is refused before the work', () => {
  const refusal = async (changes: Partial<PlaceSpec>) => {
    const events: JobEvent[] = []
    const thrown: unknown = await runTask(spec(changes), {
      onEvent: (event) => events.push(event),
    }).catch((error: unknown) => error)
    return { thrown, planned: events.some(({ type }) => type === 'plan') }
  }

  it('a text that is not there', async () => {
    const { thrown, planned } = await refusal({ text: join(root, 'nowhere.txt') })
    expect(thrown).toMatchObject({ code: 'not_found' })
    expect(planned).toBe(false)
  })

  it('a candidate that was not grown, or from another model', async () => {
    const plain = await refusal({ candidates: [base] })
    expect(plain.thrown).toMatchObject({ code: 'bad_request', context: { field: 'candidates' } })
    expect(plain.planned).toBe(false)
    const wide = await writeTinyCheckpoint({
      dir: join(root, 'wide'),
      layers: LAYERS,
      hidden: 32,
      vocab: 512,
    })
    const other = await refusal({ candidates: [wide] })
    expect(other.thrown).toMatchObject({
      code: 'bad_request',
      context: { expected: 'hiddenSize 16', actual: '32' },
    })
  })

  it('too little memory', async () => {
    const { thrown, planned } = await refusal({ memoryBytes: 1e6 })
    expect(thrown).toMatchObject({ code: 'not_enough_memory' })
    expect(planned).toBe(false)
  })

  it('a text of too few windows, once it has been read', async () => {
    const short = join(root, 'short.txt')
    await writeFile(short, 'Too short.')
    expect((await refusal({ text: short })).thrown).toMatchObject({ code: 'bad_request' })
  })

  it('a model whose weights are not finite', async () => {
    const broken = await writeTinyCheckpoint({
      dir: join(root, 'broken'),
      layers: LAYERS,
      hidden: 16,
      vocab: 512,
      scale: (name) => (name.includes('layers.2.mlp.down_proj') ? Infinity : 1),
    })
    expect((await refusal({ model: broken })).thrown).toMatchObject({ code: 'numeric_failure' })
  })
})
