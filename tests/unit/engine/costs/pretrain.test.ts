import { mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EstimateRequest } from '@shared/engineProtocol'
import type { Estimate } from '@shared/estimate'
import type { PretrainSpec } from '@shared/jobs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../../../src/main/engine/evaluation/tokenizer'
import { estimate, judge } from '../../../../src/main/engine/costs/estimate'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { pretrainSpec } from '../../../support/specs'

const CONTEXT = 16
const BATCH = 4

describe('an estimate of a training', () => {
  let folder = ''
  let model = ''
  let text = ''
  /** Tokens of the text. */
  let tokens = NaN

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'lesa-test-')))
    model = await grown('model')
    text = join(folder, 'text.txt')
    const content = 'One word after another makes a text. '.repeat(1500)
    await writeFile(text, content)
    tokens = (await (await loadTokenizer(model)).encode([content])).ids[0]!.length
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  const grown = async (name: string, layers = 6): Promise<string> => {
    const dir = await writeTinyCheckpoint({ dir: join(folder, name), layers, vocab: 512 })
    await writeFile(join(dir, 'lesa.json'), '{"new_layers": [2, 4]}')
    return dir
  }
  const ask = (
    changes: Partial<PretrainSpec> = {},
    options: Partial<EstimateRequest> = {},
  ): Promise<Estimate> =>
    estimate({
      spec: pretrainSpec({
        models: [{ path: model, name: 'model' }],
        texts: [text],
        context: CONTEXT,
        batch: BATCH,
        evalShare: 0,
        out: join(folder, 'out'),
        ...changes,
      }),
      calibrationFile: join(folder, 'speed.json'),
      isQuick: true,
      ...options,
    })
  const seconds = ({ breakdown }: Estimate, label: string): number =>
    breakdown.seconds.find((item) => item.label === label)?.value ?? 0

  it('says the pace, and what comes with it', async () => {
    const kept = { keepsStages: true }
    const found = await ask({ amount: { steps: 30 }, evalShare: 0.1 }, kept)
    expect(found.training).toMatchObject({ steps: 30, tokensPerStep: CONTEXT * BATCH })
    const { low, high } = found.training!.secondsPerStep
    expect(low).toBeGreaterThan(0)
    expect(high).toBeGreaterThan(low)
    expect(seconds(found, 'training steps')).toBeCloseTo((30 * low) / 0.8, 9)
    expect(found.breakdown.seconds.map(({ label }) => label)).toEqual([
      'tokenise the texts',
      'training steps',
      'evaluations',
      'keep states',
      'write checkpoints',
    ])
    expect(found).toMatchObject({ device: 'cpu', deviceBytes: null, refusal: null })
  })

  it('measures the machine once for models of one shape', async () => {
    const kept = async (): Promise<unknown> =>
      JSON.parse(await readFile(join(folder, 'speed.json'), 'utf8'))
    await ask()
    const before = await kept()
    const names = Object.keys((before as { figures: object }).figures)
    expect(names.filter((name) => /^cpu.*\/backward\//.test(name))).toHaveLength(1)
    await ask({ models: [{ path: await grown('deeper', 8), name: 'deeper' }] })
    expect(await kept()).toEqual(before)
  })

  it('counts steps, tokens or epochs', async () => {
    const steps = async (amount: PretrainSpec['amount'], evalShare = 0): Promise<number> =>
      (await ask({ amount, evalShare })).training?.steps ?? NaN
    expect(await steps({ tokens: 6400 })).toBe(100)
    const once = tokens / CONTEXT / BATCH
    expect(once).toBeGreaterThan(100)
    expect(Math.abs((await steps({ epochs: 2 })) - 2 * once)).toBeLessThan(2)
    expect(Math.abs((await steps({ epochs: 2 }, 0.5)) - once)).toBeLessThan(2)
  })

  it('adds up models, repeats and trials', async () => {
    const amount = { steps: 200 }
    const one = seconds(await ask({ amount }), 'training steps')
    const models = ['a', 'b'].map((name) => ({ path: model, name }))
    const of = async (changes: Partial<PretrainSpec>): Promise<number> =>
      seconds(await ask({ amount, ...changes }), 'training steps') / one
    expect(await of({ models })).toBeCloseTo(2, 9)
    expect(await of({ repeats: 3 })).toBeCloseTo(3, 9)
    // Two trials of twenty steps that are not gone on with.
    expect(await of({ learningRates: [1e-4, 2e-4, 4e-4] })).toBeCloseTo(1.2, 9)
  })

  it('counts what is measured on the way', async () => {
    const amount = { steps: 100 }
    const of = async (changes: Partial<PretrainSpec>): Promise<number> =>
      seconds(await ask({ amount, ...changes }), 'evaluations')
    expect(await of({})).toBe(0)
    expect((await ask()).breakdown.seconds.map(({ label }) => label)).not.toContain('evaluations')
    const held = await of({ evalShare: 0.1 })
    expect(held).toBeGreaterThan(0)
    // 101 times instead of 21.
    expect((await of({ evalShare: 0.1, evalEvery: 1 })) / held).toBeCloseTo(101 / 21, 6)
    expect((await of({ evalText: text })) / held).toBeCloseTo(10, 1)
    expect((await of({ evalText: text, forgettingText: text })) / held).toBeCloseTo(20, 1)
    const base = await grown('base', 3)
    expect((await of({ evalShare: 0.1, base })) / held).toBeCloseTo(1 + 0.5 / 21, 2)
  })

  it('has the disk that checkpoints, states and tokens take', async () => {
    const { size } = await stat(join(model, 'model.safetensors'))
    const of = async (...args: Parameters<typeof ask>): Promise<Map<string, number>> => {
      const { breakdown } = await ask(...args)
      return new Map(breakdown.diskBytes.map(({ label, value }) => [label, value]))
    }
    const once = await of()
    expect([...once.keys()]).toEqual(['trained checkpoints', 'tokens'])
    expect(once.get('trained checkpoints')).toBeGreaterThan(0.9 * size)
    expect(once.get('trained checkpoints')).toBeLessThan(size)
    expect(once.get('tokens')).toBeCloseTo(4 * tokens, 3)
    // Values and both moments of two layers.
    const state = 3 * 4 * 2 * (32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48 + 2 * 32)
    const kept = await of({}, { keepsStages: true })
    expect(kept.get('states to go on from')).toBe(3 * state)
    const models = ['a', 'b'].map((name) => ({ path: model, name }))
    const race = await of({ models, job: join(folder, 'job') })
    expect(race.get('states to go on from')).toBe(4 * state)
    expect(race.get('trained checkpoints')).toBe(2 * once.get('trained checkpoints')!)
    const trials = await of({ learningRates: [1e-4, 2e-4] })
    expect(trials.get('states of trials')).toBe(2 * state)
  })

  it('says which limit of memory would do where the one that is set does not', async () => {
    const free = await ask()
    const least = free.hostBytesPeak
    const found = await ask({}, { memoryLimitBytes: 100e6 })
    expect(found.verdict).toBe('does_not_fit')
    expect(found.refusal?.needs).toBe('memory_limit')
    expect(found.refusal!.bytes).toBeGreaterThan(100e6)
    expect(found.refusal!.bytes).toBeLessThanOrEqual(least)
    const enough = await ask({}, { memoryLimitBytes: found.refusal!.bytes })
    expect(enough.refusal).toBeNull()
    expect(enough.hostBytesPeak).toBeLessThanOrEqual(found.refusal!.bytes * 1.001)
  })

  it('says what is wrong with the job', async () => {
    await expect(ask({ train: [6] })).rejects.toMatchObject({ code: 'bad_request' })
    await expect(ask({ texts: [join(folder, 'none.txt')] })).rejects.toMatchObject({
      code: 'not_found',
    })
    const models = [{ path: join(folder, 'none'), name: 'none' }]
    await expect(ask({ models })).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('the verdict on a training', () => {
  const cost = (secondsPerStep: number, steps: number): Parameters<typeof judge>[0] => ({
    seconds: [{ label: 'training steps', value: secondsPerStep * steps }],
    hostBytes: [{ label: 'm', value: 1e9 }],
    deviceBytes: null,
    diskBytes: [{ label: 'd', value: 1e9 }],
    device: 'cpu',
    leastMemory: 1e9,
    arrays: { largest: 1e6, together: 1e9 },
    out: '/out',
    training: { secondsPerStep, steps, tokensPerStep: 8192 },
  })

  it('is amber where nobody would wait for it, says why, and refuses nothing', () => {
    const found = judge(cost(49 * 60, 1000), 10e9, 100e9)
    expect(found).toMatchObject({ verdict: 'tight', refusal: null })
    expect(found.reasons).toEqual([
      'A step takes about 49 min on this machine, all of it about 34 days. Fewer or smaller steps, a smaller model, or ' +
        'a GPU would bring it within reach.',
    ])
    expect(found.training!.secondsPerStep.low).toBeLessThan(49 * 60)
    expect(judge({ ...cost(49 * 60, 1000), device: 'webgpu' }, 10e9, 100e9).reasons[0]).not.toMatch(
      /GPU/,
    )
  })

  it('is green where it takes a day', () => {
    expect(judge(cost(86, 1000), 10e9, 100e9).verdict).toBe('fits')
  })

  it('says first what it would not fit into', () => {
    const found = judge(cost(49 * 60, 1000), 0.5e9, 100e9)
    expect(found.verdict).toBe('does_not_fit')
    expect(found.reasons).toHaveLength(2)
  })
})
