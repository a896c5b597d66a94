import { join } from 'node:path'
import { stat, readdir, readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { extrapolateEigen } from '../../../../src/main/engine/costs/calibration'
import { estimate, judge } from '../../../../src/main/engine/costs/estimate'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import type { ExpandSpec, PlaceSpec } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { familyModel } from '../../../support/familyCases'
import { evaluateSpec, expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

describe('the law of an eigenproblem', () => {
  const law = (n: number): number => 2e-4 * n + 8e-11 * n ** 3

  it('goes through both measurements, and on from there', () => {
    for (const n of [512, 1024, 1536, 2048, 14_336]) {
      expect(extrapolateEigen(n, [512, law(512)], [1536, law(1536)]) / law(n)).toBeCloseTo(1, 9)
    }
  })

  it('is never negative, however disturbed the measurements were', () => {
    expect(extrapolateEigen(2048, [512, 1e-6], [1024, 1])).toBeCloseTo(8, 6)
    expect(extrapolateEigen(2048, [512, 1], [1024, 0.5])).toBeCloseTo(4, 6)
  })
})

describe('the verdict', () => {
  const cost = (memory: number, disk: number): Parameters<typeof judge>[0] => ({
    seconds: [{ label: 'a', value: 9 }],
    hostBytes: [{ label: 'm', value: memory }],
    deviceBytes: null,
    diskBytes: [{ label: 'd', value: disk }],
    device: 'cpu',
    leastMemory: memory / 2,
    arrays: { largest: 1e6, together: memory / 2 },
    out: '/out',
  })

  it('is green with room to spare, and says how much', () => {
    const found = judge(cost(1e9, 1e9), 10e9, 100e9)
    expect(found).toMatchObject({ verdict: 'fits', hostBytesPeak: 1e9, diskBytes: 1e9 })
    expect(found.reasons).toEqual([
      'It needs about 1.00 GB of memory, and 10.0 GB can be used.',
      'It needs about 1.00 GB of disk, and 100 GB can be used.',
    ])
    expect(found.seconds.low).toBeLessThan(10)
    expect(found.seconds.high).toBeGreaterThan(10)
  })

  it('is amber where little is left, and red where it does not fit, for that reason alone', () => {
    expect(judge(cost(9e9, 1e9), 10e9, 100e9)).toMatchObject({
      verdict: 'tight',
      reasons: [expect.stringContaining('9.00 GB of memory') as string],
    })
    expect(judge(cost(1e9, 200e9), 10e9, 100e9)).toMatchObject({
      verdict: 'does_not_fit',
      reasons: [expect.stringContaining('200 GB of disk') as string],
    })
    expect(judge(cost(11e9, 90e9), 10e9, 100e9).reasons).toHaveLength(2)
  })

  it('says what would be refused, which a run that is only tight or too large for what is free is not', () => {
    expect(judge(cost(11e9, 1e9), 10e9, 100e9).refusal).toBeNull()
    // The limit is above what the plan needs at least.
    expect(judge(cost(11e9, 1e9), 6e9, 100e9, 6e9)).toMatchObject({
      verdict: 'does_not_fit',
      isLimited: true,
      refusal: null,
      reasons: ['It needs about 11.0 GB of memory, and the memory limit is 6.00 GB.'],
    })
    expect(judge(cost(11e9, 1e9), 5e9, 100e9, 5e9).refusal).toEqual({
      needs: 'memory_limit',
      bytes: 5.5e9,
    })
    expect(judge(cost(1e9, 200e9), 10e9, 100e9).refusal).toMatchObject({ needs: 'disk' })
    expect(judge(cost(1e9, 200e9), 10e9, null).refusal).toBeNull()
  })

  it('says what this kind of process cannot hold, however much memory is free', () => {
    const desktop = { one: 2 ** 31, all: 2 ** 33 }
    expect(judge(cost(20e9, 1e9), 100e9, 100e9, Infinity, desktop).refusal).toEqual({
      needs: 'other_process',
      bytes: 10e9,
    })
    expect(judge(cost(15e9, 1e9), 100e9, 100e9, Infinity, desktop).refusal).toBeNull()
  })

  it('does not depend on a disk that does not tell', () => {
    expect(judge(cost(1, 1e18), 10e9, null).verdict).toBe('fits')
  })
})

describe('an estimate', () => {
  const lesa = (steps: number): MethodSpec => ({
    name: 'lesa',
    useSvd: true,
    energy: 1,
    predictor: { ...PRESET_SETTINGS.matched, length: { unit: 'steps', value: steps } },
  })

  it('of a copy needs no device, and leaves nothing on the disk', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm') })
    const spec = expandSpec({ model, out: join(folder, 'new', 'out') })
    const found = await estimate({ spec })
    expect(found).toMatchObject({ verdict: 'fits', deviceBytes: null, device: null })
    const { size } = await stat(join(model, 'model.safetensors'))
    expect(found.diskBytes).toBeGreaterThan(size)
    expect(await readdir(folder)).toEqual(['m'])
  })

  it('grows with the work, and with what is kept', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm'), layers: 4 })
    const out = join(folder, 'out')
    const calibrationFile = join(folder, 'speed.json')
    const ask = (steps: number, keepsStages = false): ReturnType<typeof estimate> =>
      estimate({
        spec: expandSpec({ model, out, method: lesa(steps) }),
        calibrationFile,
        keepsStages,
        isRecorded: keepsStages,
      })
    const short = await ask(100)
    const kept = JSON.parse(await readFile(calibrationFile, 'utf8')) as { figures: object }
    expect(Object.keys(kept.figures).length).toBeGreaterThan(3)
    const long = await ask(100_000)
    const train = ({ breakdown }: typeof short): number =>
      breakdown.seconds.find(({ label }) => label === 'train predictors')?.value ?? NaN
    expect(train(long) / train(short)).toBeCloseTo(1000, 3)
    expect((await ask(100, true)).diskBytes).toBeGreaterThan(short.diskBytes)
    // Nothing was measured again.
    expect(JSON.parse(await readFile(calibrationFile, 'utf8'))).toEqual(kept)
  })

  it('of a mixture of experts counts matching them, and scaling the routers on a text', async () => {
    const folder = await tempFolder()
    const text = join(folder, 'text')
    await writeFile(text, 'word '.repeat(1000))
    const calibrationFile = join(folder, 'speed.json')
    const spec = expandSpec({
      model: familyModel('mixtral'),
      out: join(folder, 'out'),
      method: { name: 'neighbour-mean', gaps: [1] },
      align: true,
    })
    const seconds = async (changes: Partial<ExpandSpec>): Promise<ReadonlyMap<string, number>> => {
      const asked = { spec: { ...spec, ...changes }, calibrationFile, isQuick: true }
      const { breakdown } = await estimate(asked)
      return new Map(breakdown.seconds.map(({ label, value }) => [label, value]))
    }
    const plain = await seconds({})
    expect(plain.get('match experts')).toBeGreaterThan(0)
    expect(plain.has('scale the routers')).toBe(false)
    const [few, many] = [
      await seconds({ calibration: { text, tokens: 8192 } }),
      await seconds({ calibration: { text, tokens: 8_388_608 } }),
    ].map((found) => found.get('scale the routers') ?? NaN)
    expect(many).toBeGreaterThan(10 * few!)
  })

  it('refuses OpT-DeUS for a model with experts, as the run would', async () => {
    const folder = await tempFolder()
    const spec = expandSpec({
      model: familyModel('qwen2_moe'),
      out: join(folder, 'out'),
      method: { name: 'opt-deus', gaps: [1], asPublished: false },
    })
    await expect(estimate({ spec })).rejects.toMatchObject({
      code: 'unsupported_architecture',
      message: expect.stringContaining('OpT-DeUS') as string,
    })
  })

  it('judges by the limit that the person has set', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm') })
    const spec = expandSpec({ model, out: join(folder, 'out') })
    const found = await estimate({ spec, memoryLimitBytes: 1e6 })
    expect(found).toMatchObject({ verdict: 'does_not_fit', freeMemory: 1e6 })
  })

  it('does without a damaged file of what was measured', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm') })
    const calibrationFile = join(folder, 'speed.json')
    await writeFile(calibrationFile, '{"figures": {"cpu/product"')
    const spec = expandSpec({ model, out: join(folder, 'out') })
    expect((await estimate({ spec, calibrationFile })).verdict).toBe('fits')
  })

  it('of a measurement counts every model, and writes nothing', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm') })
    const text = join(folder, 'text')
    await writeFile(text, 'word '.repeat(1000))
    const found = await estimate({ spec: evaluateSpec({ models: [model, model], text }) })
    expect(found.breakdown.seconds).toHaveLength(2)
    expect(found).toMatchObject({ diskBytes: 0, freeDisk: null, device: 'cpu' })
  })

  it('of a measurement beside a base counts the base too, and both hidden states', async () => {
    const folder = await tempFolder()
    const base = await writeTinyCheckpoint({ dir: join(folder, 'base') })
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm'), layers: 6 })
    const text = join(folder, 'text')
    await writeFile(text, 'word '.repeat(1000))
    const hidden = async (spec: Parameters<typeof evaluateSpec>[0]): Promise<number> => {
      const { breakdown } = await estimate({ spec: evaluateSpec({ ...spec, text }) })
      expect(breakdown.seconds.map(({ label }) => label)).toEqual([base, model])
      return breakdown.hostBytes.find(({ label }) => label === 'hidden states')?.value ?? NaN
    }
    const alone = await hidden({ models: [base, model] })
    expect(await hidden({ models: [model], base })).toBe(2 * alone)
    expect(await hidden({ models: [base, model], base })).toBe(2 * alone)
  })

  it('says what is wrong with the job', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm') })
    const ask = (changes: Parameters<typeof expandSpec>[0]): ReturnType<typeof estimate> =>
      estimate({ spec: expandSpec({ model, out: join(folder, 'out'), ...changes }) })
    await expect(ask({ model: join(folder, 'none') })).rejects.toMatchObject({ code: 'not_found' })
    await expect(ask({ method: { name: 'solar', overlap: 99 } })).rejects.toMatchObject({
      code: 'bad_request',
    })
  })
})

describe('the estimate of measured places', () => {
  it('grows with the text up to what is asked for, with blocks, and with candidates', async () => {
    const dir = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(dir, 'model'), layers: 6, vocab: 512 })
    const text = join(dir, 'text.txt')
    const of = async (words: number, changes: Partial<PlaceSpec> = {}) => {
      await writeFile(text, 'some words that are said again and again. '.repeat(words))
      const spec: PlaceSpec = {
        kind: 'place',
        model,
        text,
        blocks: 1,
        candidates: [],
        device: 'cpu',
        seed: 0,
        ...changes,
      }
      return estimate({ spec, isQuick: true, calibrationFile: join(dir, 'speed.json') })
    }
    const sum = ({ breakdown }: Awaited<ReturnType<typeof of>>): number =>
      breakdown.seconds.slice(2).reduce((total, { value }) => total + value, 0)
    const [short, long, longer] = [await of(20), await of(4000), await of(6000)]
    expect(sum(short)).toBeLessThan(sum(long))
    expect(sum(longer)).toBeCloseTo(sum(long), 9)
    expect(sum(await of(4000, { blocks: 4 }))).toBeGreaterThan(sum(long))
    expect(sum(await of(4000, { candidates: [model] }))).toBeGreaterThan(sum(long))
    expect(long.breakdown.diskBytes).toEqual([
      // Both output matrices of a block in each of six gaps.
      { label: 'directions of all gaps', value: expect.any(Number) as number },
    ])
    const bound = await of(4000, { memoryBytes: 1e6 }).catch((error: unknown) => error)
    expect(bound).toMatchObject({ code: 'not_enough_memory' })
  })
})
