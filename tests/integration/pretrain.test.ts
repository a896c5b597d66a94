import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobEvent, PretrainResult, PretrainSpec } from '@shared/jobs'
import {
  BASE_NAME,
  curveSeries,
  STEP_TOKENS_SERIES,
  type TrainingRecord,
} from '@shared/pretraining'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runJob } from '../../src/main/engine/process/runJob'
import type { JobEnv } from '../../src/main/engine/jobs/runner'
import { EngineClient } from '../../src/main/jobs/EngineClient'
import { NodeEngineProcess } from '../../src/main/jobs/NodeEngineProcess'
import { built, PROJECT } from '../support/built'
import { decodeSafetensors, writeTinyCheckpoint } from '../support/checkpoints'
import { runExpand, runTask } from '../support/jobs'
import { expandSpec, pretrainSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

/** Of three layers: a mean of neighbours (new layers 1 and 3), and identity blocks (1 and 4). */
let models: {
  readonly root: string
  readonly base: string
  readonly mean: string
  readonly pro: string
  readonly text: string
  readonly other: string
}

beforeAll(async () => {
  const root = await mkdtemp(join(tmpdir(), 'lesa-pretrain-'))
  const base = await writeTinyCheckpoint({
    dir: join(root, 'base'),
    layers: 3,
    hidden: 16,
    vocab: 512,
    config: { bos_token_id: 1, eos_token_id: 2 },
  })
  const mean = join(root, 'mean')
  const pro = join(root, 'pro')
  await runExpand(
    expandSpec({ model: base, out: mean, method: { name: 'neighbour-mean', gaps: [0, 1] } }),
  )
  await runExpand(expandSpec({ model: base, out: pro, method: { name: 'llama-pro', groups: 2 } }))
  const [text, other] = [join(root, 'train.txt'), join(root, 'other.txt')]
  const words = await readFile(join(PROJECT, 'resources/demo-model/eval.txt'), 'utf8')
  await writeFile(text, words.slice(0, 4_000))
  await writeFile(other, words.slice(4_000, 4_600))
  models = { root, base, mean, pro, text, other }
})

afterAll(() => rm(models.root, { recursive: true, force: true }))

const STEPS = 8

/** A training of the mean that takes a second. */
function spec(changes: Partial<PretrainSpec> = {}): PretrainSpec {
  return pretrainSpec({
    models: [{ path: models.mean, name: 'mean' }],
    texts: [models.text],
    amount: { steps: STEPS },
    context: 16,
    batch: 2,
    learningRates: [3e-3],
    evalEvery: 4,
    ...changes,
  })
}

function race(changes: Partial<PretrainSpec> = {}): PretrainSpec {
  const named = ['mean', 'pro'] as const
  return spec({ models: named.map((name) => ({ path: models[name], name })), ...changes })
}

interface Ran {
  readonly result: PretrainResult
  readonly events: JobEvent[]
}

async function run(
  job: PretrainSpec,
  env: Partial<JobEnv> & { readonly onEvent?: (event: JobEvent) => void } = {},
): Promise<Ran> {
  const events: JobEvent[] = []
  const running = runJob(job, { signal: new AbortController().signal, ...env })
  for (;;) {
    const next = await running.next()
    if (next.done) {
      if (next.value.kind !== 'pretrain') throw new Error('not a training')
      return { result: next.value, events }
    }
    events.push(next.value)
    env.onEvent?.(next.value)
  }
}

/** Every file of a folder, by its name within it, as a digest. */
async function digests(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((e) => join(e.parentPath, e.name))
  const pairs = await Promise.all(
    files.sort().map(async (file) => {
      const digest = createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
      return [file.slice(folder.length + 1), digest] as const
    }),
  )
  return Object.fromEntries(pairs)
}

async function weights(folder: string): Promise<Map<string, { dtype: string; bytes: Uint8Array }>> {
  const { tensors } = await decodeSafetensors(join(folder, 'model.safetensors'))
  return new Map(tensors.map(({ name, dtype, bytes }) => [name, { dtype, bytes }]))
}

/** Curves without what depends on the clock. */
function losses({ results }: PretrainResult): unknown {
  return results.map(({ loss, eval: measured, forgetting, gradient_norm }) => ({
    loss,
    measured,
    forgetting,
    gradient_norm,
  }))
}

function seriesOf(events: readonly JobEvent[], series: string): { x: number[]; y: number[] } {
  const told = events.flatMap((event) =>
    event.type === 'metric' && event.series === series ? [event] : [],
  )
  return { x: told.flatMap(({ x }) => x), y: told.flatMap(({ y }) => y) }
}

const logs = (events: readonly JobEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'log' ? [event.text] : []))

/** Folders of states that lie in a job's folder. */
async function states(job: string): Promise<string[]> {
  const all = await readdir(join(job, 'trainings'), { recursive: true })
  return all.filter((name) => /step-\d+-[0-9a-f]{16}$/.test(name)).sort()
}

/** Stops a job once it has told of a step's loss. */
function stopAt(step: number): { signal: AbortSignal; onEvent: (event: JobEvent) => void } {
  const controller = new AbortController()
  return {
    signal: controller.signal,
    onEvent: (event) => {
      if (event.type === 'metric' && event.series.startsWith('loss/') && event.x.includes(step)) {
        controller.abort()
      }
    },
  }
}

describe('a training of one model', () => {
  it('moves the new layers, leaves every other bit alone, and tells of it', async () => {
    const out = join(await tempFolder(), 'out')
    const { result, events } = await run(spec({ out, forgettingText: models.other }))
    const [trained] = result.results
    expect(trained).toMatchObject({
      model: models.mean,
      name: 'mean',
      out,
      steps: STEPS,
      tokens: STEPS * 2 * 16,
      lr: 3e-3,
      trained_layers: [1, 3],
      steps_to_reach: {},
      diverged: null,
      repeats: [],
      trials: [],
    })
    expect(trained?.loss.map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(trained?.gradient_norm).toHaveLength(STEPS)
    for (const curve of ['eval', 'forgetting', 'elapsed'] as const) {
      expect(trained?.[curve].map(([step]) => step)).toEqual([0, 4, 8])
    }
    expect(trained?.eval.at(-1)?.[1]).toBeLessThan(trained?.eval[0]?.[1] ?? 0)
    expect(result).toMatchObject({ tokens_per_step: 32, base: null, trial_seconds: 0 })

    const [before, after] = [await weights(models.mean), await weights(out)]
    expect([...after.keys()]).toEqual([...before.keys()])
    for (const [name, { dtype, bytes }] of before) {
      const isTrained = /\.layers\.[13]\./.test(name)
      expect(after.get(name)?.dtype).toBe(dtype)
      // Of a norm's few values some may be as they were in 16 bits, a matrix moves.
      if (!isTrained || name.endsWith('proj.weight')) {
        expect([name, Buffer.compare(after.get(name)?.bytes ?? Buffer.of(), bytes) !== 0]).toEqual([
          name,
          isTrained,
        ])
      }
    }
    expect(trained?.trained_parameters).toBe(
      [...before].reduce(
        (sum, [name, { bytes }]) => sum + (/\.layers\.[13]\./.test(name) ? bytes.length / 2 : 0),
        0,
      ),
    )
    const config = (folder: string): Promise<string> =>
      readFile(join(folder, 'config.json'), 'utf8')
    expect(JSON.parse(await config(out))).toEqual(JSON.parse(await config(models.mean)))

    expect(events[0]).toMatchObject({ type: 'plan' })
    const planned = new Set(
      events.flatMap((event) => (event.type === 'plan' ? event.steps.map(({ id }) => id) : [])),
    )
    for (const event of events) if (event.type === 'step') expect(planned).toContain(event.id)
    expect(seriesOf(events, STEP_TOKENS_SERIES)).toEqual({ x: [0], y: [32] })
    for (const kind of ['loss', 'eval', 'forgetting', 'elapsed'] as const) {
      const { x, y } = seriesOf(events, curveSeries(kind, 'mean'))
      expect(x.map((step, index) => [step, y[index]])).toEqual(trained?.[kind])
    }
    expect(events.at(-1)).toMatchObject({ type: 'artifact', path: out })
    expect(await readdir(join(out, '..'))).toEqual(['out'])
  })

  it('gives the same bytes with the same command, and others with another seed', async () => {
    const folder = await tempFolder()
    const outs = ['a', 'b', 'c'].map((name) => join(folder, name)) as [string, string, string]
    await run(spec({ out: outs[0] }))
    await run(spec({ out: outs[1] }))
    await run(spec({ out: outs[2], seed: 1 }))
    expect(await digests(outs[1])).toEqual(await digests(outs[0]))
    expect((await digests(outs[2]))['model.safetensors']).not.toBe(
      (await digests(outs[0]))['model.safetensors'],
    )
  })

  it('is told by lesa.json and the model card, after those before it', async () => {
    const folder = await tempFolder()
    const [once, twice] = [join(folder, 'once'), join(folder, 'twice')]
    const { result } = await run(spec({ out: once }))
    await run(spec({ models: [{ path: once, name: 'once' }], out: twice, trainedParts: 'norms' }))
    const told = JSON.parse(await readFile(join(twice, 'lesa.json'), 'utf8')) as {
      new_layers: number[]
      training: TrainingRecord[]
    }
    expect(told.new_layers).toEqual([1, 3])
    const [first] = result.results
    expect(told.training).toHaveLength(2)
    expect(told.training[0]).toMatchObject({
      steps: STEPS,
      tokens: 256,
      lr: 3e-3,
      trained_layers: [1, 3],
      trained_parts: 'all',
      warmup: 1,
      texts: [{ name: 'train.txt', bytes: 4_000, documents: 1 }],
      loss: { first: first?.loss[0]?.[1], last: first?.loss.at(-1)?.[1] },
      eval: { first: first?.eval[0]?.[1], last: first?.eval.at(-1)?.[1] },
      forgetting: null,
    })
    expect(told.training[1]?.trained_parts).toBe('norms')
    const card = await readFile(join(twice, 'README.md'), 'utf8')
    expect(
      card.startsWith(
        await readFile(join(models.mean, 'README.md'), 'utf8').then((t) => t.trimEnd()),
      ),
    ).toBe(true)
    expect(card).toMatch(
      /\n## Training\n[^]*\| train\.txt \|[^]*\n## Training 2\n[^]*only the norms/,
    )
    const [a, b] = [await weights(once), await weights(twice)]
    const moved = [...a].filter(
      ([name, { bytes }]) => Buffer.compare(bytes, b.get(name)?.bytes ?? Buffer.of()) !== 0,
    )
    expect(moved.every(([name]) => /norm\.weight$|layernorm\.weight$/.test(name))).toBe(true)
  })

  it('is told by an export too, whose checks know which layers were trained', async () => {
    const folder = await tempFolder()
    const grown = expandSpec({
      model: models.base,
      out: join(folder, 'grown'),
      method: { name: 'llama-pro', groups: 2 },
    })
    const result = await runExpand(grown)
    const trained = join(folder, 'trained')
    await run(spec({ models: [{ path: grown.out, name: 'grown' }], out: trained }))
    const exported = await runTask({
      kind: 'export',
      model: trained,
      base: models.base,
      out: join(folder, 'exported'),
      overwrite: false,
      dtype: 'keep',
      maxShardBytes: 5e9,
      grown: { spec: grown, result },
      perplexities: [],
    })
    if (exported.result.kind !== 'export') throw new Error('not an export')
    const states = exported.result.checks.map(({ id, state }) => [id, state])
    expect(Object.fromEntries(states)).toEqual({
      reopened: 'passed',
      tensors_complete: 'passed',
      originals_identical: 'passed',
      weights_finite: 'passed',
      forward_finite: 'passed',
      logits_equal_base: 'skipped',
    })
    const read = (name: string): Promise<string> => readFile(join(folder, 'exported', name), 'utf8')
    expect(await read('README.md')).toContain('\n## Training\n\nThen trained for 8 steps')
    expect(JSON.parse(await read('lesa.json'))).toMatchObject({
      method: 'llama-pro',
      training: [{ steps: 8, trained_layers: [1, 4] }],
    })
    expect(
      (await weights(join(folder, 'exported'))).get('model.layers.1.mlp.down_proj.weight'),
    ).toEqual((await weights(trained)).get('model.layers.1.mlp.down_proj.weight'))
  })

  it('of layers that are named needs no lesa.json; of new ones it does', async () => {
    const folder = await tempFolder()
    const job = spec({ models: [{ path: models.base, name: 'base' }], out: join(folder, 'out') })
    await expect(run(job)).rejects.toMatchObject({
      code: 'bad_request',
      hint: expect.stringContaining('--train') as unknown,
    })
    const { result } = await run({ ...job, train: [2] })
    expect(result.results[0]?.trained_layers).toEqual([2])
    const lesa = JSON.parse(await readFile(join(folder, 'out/lesa.json'), 'utf8')) as object
    expect(lesa).toMatchObject({ architecture: 'LlamaForCausalLM', training: [{ steps: STEPS }] })
    expect(lesa).not.toHaveProperty('new_layers')
  })

  it.each([
    ['that are there', { architecture: 'qwen2' }],
    ['that its files leave out', { config: { attention_bias: true } }],
  ] as const)('writes the trained biases of a model, those %s', async (what, shape) => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({
      dir: join(folder, 'model'),
      layers: 2,
      hidden: 16,
      vocab: 512,
      tieWordEmbeddings: true,
      ...shape,
    })
    const out = join(folder, 'out')
    const { result } = await run(spec({ models: [{ path: model, name: 'm' }], out, train: [1] }))
    const [before, after] = [await weights(model), await weights(out)]
    const bias = 'model.layers.1.self_attn.v_proj.bias'
    expect(before.has(bias)).toBe(what === 'that are there')
    const moved = after.get(bias)?.bytes ?? Buffer.of()
    expect(moved).toHaveLength(2 * 8)
    expect(Buffer.compare(moved, before.get(bias)?.bytes ?? Buffer.alloc(16))).not.toBe(0)
    expect(after.has('model.layers.0.self_attn.v_proj.bias')).toBe(what === 'that are there')
    // The written model answers as the trained one did, within its 16 bits.
    const again = await run(
      spec({ models: [{ path: out, name: 'm' }], out: join(folder, 'more'), train: [1] }),
    )
    expect(again.result.results[0]?.eval[0]?.[1]).toBeCloseTo(
      result.results[0]?.eval.at(-1)?.[1] ?? 0,
      2,
    )
  })

  it('trains again with further seeds, whose curves are told', async () => {
    const out = join(await tempFolder(), 'out')
    const { result, events } = await run(spec({ out, repeats: 2, seed: 7 }))
    const [first] = result.results
    expect(first?.repeats).toHaveLength(1)
    const [second] = first?.repeats ?? []
    expect([first?.seed, second?.seed]).toEqual([7, 8])
    expect(second?.loss.at(-1)).not.toEqual(first?.loss.at(-1))
    const { x, y } = seriesOf(events, curveSeries('loss', 'mean', 1))
    expect(x.map((step, index) => [step, y[index]])).toEqual(second?.loss)
  })
})

describe('a race', () => {
  it('tries rates, goes on with the best of each model, and compares', async () => {
    const out = join(await tempFolder(), 'race')
    const learningRates = [1e-5, 3e-3]
    const amount = { steps: 20 }
    const job = race({ out, learningRates, amount, base: models.base, evalEvery: 5 })
    const { result, events } = await run(job)
    expect(result.results.map(({ name, lr, out: own }) => [name, lr, own])).toEqual([
      ['mean', 3e-3, join(out, 'mean')],
      ['pro', 3e-3, join(out, 'pro')],
    ])
    for (const { trials, loss, eval: measured } of result.results) {
      expect(trials.map(({ lr, steps }) => [lr, steps])).toEqual([
        [1e-5, 2],
        [3e-3, 2],
      ])
      expect(trials[1]?.loss).toBeLessThan(trials[0]?.loss ?? 0)
      expect(loss.map(([step]) => step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
      expect(measured.map(([step]) => step)).toEqual([0, 2, 5, 10, 15, 20])
    }
    expect(result.trial_seconds).toBeCloseTo(
      result.results.reduce((sum, { trials }) => sum + (trials[0]?.seconds ?? 0), 0),
      6,
    )
    const [mean, pro] = result.results
    // The identity blocks answer as the base does.
    expect(pro?.eval[0]?.[1]).toBeCloseTo(result.base?.eval ?? 0, 5)
    expect(seriesOf(events, curveSeries('eval', BASE_NAME))).toEqual({
      x: [0],
      y: [result.base?.eval],
    })
    expect(Object.keys(mean?.steps_to_reach ?? {})).toEqual(['pro'])
    const lower = (mean?.eval.at(-1)?.[1] ?? 0) < (pro?.eval.at(-1)?.[1] ?? 0) ? mean : pro
    const other = lower === mean ? pro : mean
    expect(lower?.steps_to_reach[other?.name ?? '']).toBeLessThan(20)
    expect(other?.steps_to_reach[lower?.name ?? '']).toBeNull()
    expect((await readdir(out)).sort()).toEqual(['mean', 'pro', 'race.json'])
    // The chosen rate is trained with as if it alone had been asked for.
    const alone = join(await tempFolder(), 'alone')
    await run(spec({ out: alone, amount, evalEvery: 5 }))
    expect((await digests(join(out, 'mean')))['model.safetensors']).toBe(
      (await digests(alone))['model.safetensors'],
    )
  })

  it('replaces what another race made, when it may, and nothing else', async () => {
    const folder = await tempFolder()
    const out = join(folder, 'race')
    const amount = { steps: 1 }
    await run(race({ out, amount }))
    await expect(run(race({ out, amount }))).rejects.toMatchObject({ code: 'output_exists' })
    // A folder of checkpoints is not a checkpoint.
    await expect(run(spec({ out, amount, overwrite: true }))).rejects.toMatchObject({
      code: 'output_exists',
    })
    await run(race({ out, amount, overwrite: true }))
    await rm(join(out, 'race.json'))
    await expect(run(race({ out, amount, overwrite: true }))).rejects.toMatchObject({
      code: 'output_exists',
    })
  })

  it('goes on without a model that diverges', async () => {
    const out = join(await tempFolder(), 'race')
    const demo = join(PROJECT, 'resources/demo-model')
    const pro = join(out, '../pro')
    await runExpand(expandSpec({ model: demo, out: pro, method: { name: 'llama-pro', groups: 2 } }))
    // Only the identity blocks, layer 6 among them, have output matrices of zero, whose rate becomes 10.
    const { result, events } = await run(
      spec({
        models: [
          { path: demo, name: 'demo' },
          { path: pro, name: 'pro' },
        ],
        train: [6],
        out,
        clip: 0,
        learningRates: [1e-4],
        outputRateFactor: 1e5,
        amount: { steps: 60 },
      }),
    )
    const [demoed, lost] = result.results
    expect(demoed?.diverged).toBeNull()
    expect(lost).toMatchObject({ out: null, diverged: { step: expect.any(Number) as unknown } })
    expect(lost?.steps).toBeLessThan(60)
    expect(demoed?.steps_to_reach).toEqual({})
    expect((await readdir(out)).sort()).toEqual(['demo', 'race.json'])
    expect(result.warnings.some((text) => /^pro: .* diverged/.test(text))).toBe(true)
    expect(logs(events)).toContain(result.warnings.find((text) => text.startsWith('pro: ')))
  })
})

describe('a training that diverges', () => {
  it('says so, and what to do, and writes nothing', async () => {
    const folder = await tempFolder()
    const job = spec({
      models: [{ path: join(PROJECT, 'resources/demo-model'), name: 'demo' }],
      train: [5],
      out: join(folder, 'out'),
      job: join(folder, 'job'),
      learningRates: [10],
      clip: 0,
      schedule: 'constant',
      warmup: 0,
      amount: { steps: 40 },
      saveEvery: 1e-9,
    })
    const diverged = {
      code: 'training_diverged',
      hint: expect.stringContaining('--lr') as unknown,
    }
    await expect(run(job)).rejects.toMatchObject(diverged)
    expect(await readdir(folder)).toEqual(['job'])
    expect((await states(join(folder, 'job'))).length).toBeGreaterThan(0)
    // It is known by now.
    const events: JobEvent[] = []
    await expect(run(job, { onEvent: (event) => events.push(event) })).rejects.toMatchObject(
      diverged,
    )
    expect(events.some((event) => event.type === 'step' && event.id === '0/train/0')).toBe(false)
  })
})

describe('a training that is interrupted', () => {
  it.each([1, 3, 4, 7, 8])(
    'at step %i goes on, and gives the bytes and losses of one that was not',
    async (step) => {
      const folder = await tempFolder()
      const [out, job] = [join(folder, 'out'), join(folder, 'job')]
      const whole = await run(spec({ out: join(folder, 'whole') }))
      await expect(run(spec({ out, job }), stopAt(step))).rejects.toMatchObject({
        name: 'AbortError',
      })
      expect((await readdir(folder)).sort()).toEqual(['job', 'whole'])
      const again = await run(spec({ out, job }))
      expect(logs(again.events).join()).toMatch(/mean: going on after step \d of 8|^(?!.*going on)/)
      expect(losses(again.result)).toEqual(losses(whole.result))
      expect(await digests(out)).toEqual(await digests(join(folder, 'whole')))
      const { x } = seriesOf(again.events, curveSeries('loss', 'mean'))
      expect(x).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    },
  )

  it('keeps the last whole step when it is cancelled, and two states at the most', async () => {
    const folder = await tempFolder()
    const job = join(folder, 'job')
    await expect(
      run(spec({ out: join(folder, 'out'), job, saveEvery: 1e-9 }), stopAt(6)),
    ).rejects.toThrow()
    const kept = await states(job)
    expect(kept).toHaveLength(2)
    const last = Number(/step-(\d+)-/.exec(kept.at(-1) ?? '')?.[1])
    expect(last).toBeGreaterThanOrEqual(6)
  })

  it('pauses at a step when it is asked to, and goes on', async () => {
    const folder = await tempFolder()
    const [out, workDir] = [join(folder, 'out'), join(folder, 'work')]
    const { signal: pauses, onEvent } = stopAt(3)
    await expect(run(spec({ out }), { workDir, pauses, onEvent })).rejects.toMatchObject({
      name: 'AbortError',
    })
    expect(await readdir(folder)).toEqual(['work'])
    expect(await states(workDir)).toHaveLength(1)
    const { events } = await run(spec({ out }), { workDir })
    expect(logs(events).some((text) => /going on after step \d/.test(text))).toBe(true)
    await run(spec({ out: join(folder, 'whole') }))
    expect(await digests(out)).toEqual(await digests(join(folder, 'whole')))
  })

  it('falls back to the state before where the newest is damaged, and says so', async () => {
    const folder = await tempFolder()
    const [out, job] = [join(folder, 'out'), join(folder, 'job')]
    const interrupted = spec({ out, job, saveEvery: 1e-9 })
    await expect(run(interrupted, stopAt(6))).rejects.toThrow()
    const [older = '', newest = ''] = (await states(job)).map((name) =>
      join(job, 'trainings', name),
    )
    const file = join(newest, 'layer-3.safetensors')
    await truncate(file, 100)
    const step = /step-(\d+)-/.exec(older)?.[1]
    const { events, result } = await run(interrupted)
    expect(logs(events).filter((text) => text.includes('damaged'))).toEqual([
      expect.stringContaining(`goes on from step ${step}`),
    ])
    expect(result.warnings.some((text) => text.includes(file))).toBe(true)
    await run(spec({ out: join(folder, 'whole') }))
    expect((await digests(out))['model.safetensors']).toEqual(
      (await digests(join(folder, 'whole')))['model.safetensors'],
    )
  })

  it('begins anew with other settings, and where all states are damaged', async () => {
    const folder = await tempFolder()
    const job = join(folder, 'job')
    await expect(
      run(spec({ out: join(folder, 'a'), job, saveEvery: 1e-9 }), stopAt(6)),
    ).rejects.toThrow()
    const other = await run(spec({ out: join(folder, 'b'), job, weightDecay: 0 }))
    expect(logs(other.events).join()).not.toContain('going on after')
    for (const name of await states(job)) {
      await truncate(join(job, 'trainings', name, 'course.json'), 3)
    }
    const { result } = await run(spec({ out: join(folder, 'a'), job }))
    expect(result.results[0]?.steps).toBe(STEPS)
    await run(spec({ out: join(folder, 'whole') }))
    expect(await digests(join(folder, 'a'))).toEqual(await digests(join(folder, 'whole')))
  })

  it('takes no step of a race again that was taken', async () => {
    const folder = await tempFolder()
    const [out, job] = [join(folder, 'out'), join(folder, 'job')]
    const asked = { out, job, learningRates: [1e-5, 3e-3], repeats: 2, amount: { steps: 10 } }
    const stopped = new AbortController()
    const onEvent = (event: JobEvent): void => {
      if (event.type === 'metric' && event.series === curveSeries('loss', 'pro')) stopped.abort()
    }
    await expect(run(race(asked), { signal: stopped.signal, onEvent })).rejects.toThrow()
    const again = await run(race(asked))
    const begun = new Set(
      again.events.flatMap((event) =>
        event.type === 'step' && event.kept === undefined ? [event.id] : [],
      ),
    )
    for (const id of ['0/trial/0.003', '0/train/0', '0/train/1', '1/trial/0.003']) {
      expect([id, begun.has(id)]).toEqual([id, false])
    }
    const whole = await run(race({ ...asked, out: join(folder, 'whole'), job: undefined }))
    expect(losses(again.result)).toEqual(losses(whole.result))
    expect(again.result.results.map(({ trials }) => trials.map(({ loss }) => loss))).toEqual(
      whole.result.results.map(({ trials }) => trials.map(({ loss }) => loss)),
    )
    expect((await digests(join(out, 'pro')))['model.safetensors']).toEqual(
      (await digests(join(folder, 'whole/pro')))['model.safetensors'],
    )
  })

  it('by the end of its process goes on as well, wherever that was', async () => {
    const folder = await tempFolder()
    const [out, job] = [join(folder, 'out'), join(folder, 'job')]
    const long = { amount: { steps: 60 }, saveEvery: 1e-9, learningRates: [1e-3, 3e-3] }
    await run(race({ ...long, out: join(folder, 'whole') }))
    const asked = race({ ...long, out, job })
    let kills = 0
    for (let seen = 10; ; seen += 23) {
      const processes: NodeEngineProcess[] = []
      const client = new EngineClient(() => {
        const started = new NodeEngineProcess(built('main/engine.js'))
        processes.push(started)
        return started
      })
      let told = 0
      const outcome = await client.runJob(asked, {
        onEvent: () => {
          told += 1
          if (told === seen) process.kill(processes[0]?.pid ?? 0, 'SIGKILL')
        },
      })
      await client.dispose()
      if (outcome.state === 'succeeded') break
      expect(outcome).toMatchObject({ error: { code: 'engine_crashed' } })
      kills += 1
      // Killed between the writing of the last file and the telling of it: all is there, as is checked below.
      if ((await readdir(folder)).includes('out')) break
    }
    expect(kills).toBeGreaterThan(0)
    const [resumed, whole] = [await digests(out), await digests(join(folder, 'whole'))]
    // What race.json says is in no order of time.
    expect(resumed).toEqual(whole)
  })
})

describe('what cannot be trained', () => {
  it.each<[string, () => Partial<PretrainSpec>, object]>([
    [
      'two models of one name',
      () => ({ models: [models.mean, models.pro].map((path) => ({ path, name: 'a' })) }),
      { code: 'bad_request', context: { field: 'models' } },
    ],
    [
      'names that are one folder',
      () => ({
        models: [
          { path: models.mean, name: 'a/b' },
          { path: models.pro, name: 'A:b' },
        ],
      }),
      { code: 'bad_request' },
    ],
    [
      'a name with a line break',
      () => ({ models: [{ path: models.mean, name: BASE_NAME }] }),
      { code: 'bad_request' },
    ],
    [
      'a layer that there is not',
      () => ({ train: [5] }),
      { code: 'bad_request', context: { field: 'train', actual: '5' } },
    ],
    [
      'a model that is not there',
      () => ({ models: [{ path: join(models.root, 'none'), name: 'a' }] }),
      { code: 'not_found' },
    ],
    [
      'a text that is not there',
      () => ({ texts: [join(models.root, 'none.txt')] }),
      { code: 'not_found' },
    ],
    [
      'a text shorter than a window',
      () => ({ context: 4096, texts: [models.other], evalText: models.text }),
      { code: 'bad_request' },
    ],
    [
      'a bound of memory that is too small',
      () => ({ memoryBytes: 1000 }),
      { code: 'not_enough_memory' },
    ],
    ['an output in the model', () => ({ out: join(models.mean, 'out') }), { code: 'path_denied' }],
    ['an output that is there', () => ({ out: models.pro }), { code: 'output_exists' }],
  ])('%s', async (_what, changes, error) => {
    const folder = await tempFolder()
    const job = spec({ out: join(folder, 'out'), ...changes() })
    await expect(run(job)).rejects.toMatchObject(error)
    expect(await readdir(folder)).toEqual([])
  })

  it('models of different tokenizers', async () => {
    const folder = await tempFolder()
    const other = await writeTinyCheckpoint({ dir: join(folder, 'other'), layers: 3, vocab: 600 })
    const named = [models.mean, other].map((path, index) => ({ path, name: String(index) }))
    await expect(
      run(spec({ models: named, train: [1], out: join(folder, 'out') })),
    ).rejects.toMatchObject({ code: 'bad_request', context: { field: 'models' } })
  })

  it('nothing is left when it is cancelled', async () => {
    const folder = await tempFolder()
    await expect(run(spec({ out: join(folder, 'out') }), stopAt(2))).rejects.toThrow()
    expect(await readdir(folder)).toEqual([])
  })
})
