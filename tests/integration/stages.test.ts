import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import type { ExpandResult, StagesResult, StagesSpec } from '@shared/jobs'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { WEIGHT_TYPES, type WeightType } from '../support/weightTypes'
import { beforeAll, describe, expect, test } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { fullBytes, leastBytes } from '../../src/main/engine/lesa/memory'
import { StackedMatrix } from '../../src/main/engine/lesa/StackedMatrix'
import { StageStore } from '../../src/main/engine/stages/StageStore'
import { writeTinyCheckpoint } from '../support/checkpoints'
import { learnedMethod, runExpand, runTask } from '../support/jobs'
import { expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const SCRIPT = resolve(import.meta.dirname, '../../scripts/lesa.mjs')

/** With small predictors: what they predict does not matter here. */
const METHOD = learnedMethod('paper', { predictor: { ...PRESET_SETTINGS.paper, hiddenSize: 16 } })

/** Everything a run writes, by name, as digests. */
async function digests(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const pairs = await Promise.all(
    files.map(async (entry) => {
      const file = join(entry.parentPath, entry.name)
      const digest = createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
      return [file.slice(folder.length), digest] as const
    }),
  )
  return Object.fromEntries(pairs.sort())
}

async function tiny(layers = 5): Promise<{ folder: string; model: string }> {
  const folder = await tempFolder()
  return { folder, model: await writeTinyCheckpoint({ dir: join(folder, 'model'), layers }) }
}

function stagesSpec(model: string, job: string, only: readonly string[]): StagesSpec {
  const {
    out: _,
    overwrite: __,
    maxShardBytes: ___,
    ...growth
  } = expandSpec({ model, method: METHOD })
  return { ...growth, kind: 'stages', job, only: [...only] }
}

async function runStages(spec: StagesSpec): Promise<StagesResult> {
  const { result } = await runTask(spec)
  if (result.kind !== 'stages') throw new Error('not a stages result')
  return result
}

async function assemble(job: string, out: string): Promise<ExpandResult> {
  const { result } = await runTask({
    kind: 'assemble',
    job,
    out,
    overwrite: false,
    maxShardBytes: 5e9,
  })
  if (result.kind !== 'expand') throw new Error('not an expand result')
  return result
}

describe('parts of a job', () => {
  test('give together the bytes of the job in one go', async () => {
    const { folder, model } = await tiny()
    const job = join(folder, 'job')
    const whole = await runExpand(expandSpec({ model, out: join(folder, 'whole'), method: METHOD }))
    const first = await runStages(stagesSpec(model, job, ['gate_proj', 'q_proj']))
    expect(first).toMatchObject({
      done: ['q_proj', 'gate_proj'],
      missing: ['k_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj'],
    })
    await runStages(stagesSpec(model, job, first.missing))
    const parts = await assemble(job, join(folder, 'parts'))
    expect(parts.new_layers).toEqual(whole.new_layers)
    expect(await digests(parts.out)).toEqual(await digests(whole.out))
  })

  test('that are missing are named, and nothing is written', async () => {
    const { folder, model } = await tiny()
    const job = join(folder, 'job')
    await runStages(stagesSpec(model, job, WEIGHT_TYPES.slice(1)))
    await expect(assemble(job, join(folder, 'out'))).rejects.toMatchObject({
      code: 'not_found',
      message: "The job's folder lacks q_proj.",
    })
    expect(await readdir(folder)).not.toContain('out')
  })

  test('belong to the model they were made from: another one finds none of them', async () => {
    const { folder, model } = await tiny()
    const job = join(folder, 'job')
    await runStages(stagesSpec(model, job, WEIGHT_TYPES))
    const other = await writeTinyCheckpoint({ dir: join(folder, 'other'), layers: 5, seed: 2 })
    await runStages(stagesSpec(other, job, ['q_proj']))
    await expect(assemble(job, join(folder, 'out'))).rejects.toMatchObject({ code: 'not_found' })
  })

  test('a method that computes nothing has none', async () => {
    const { folder, model } = await tiny()
    const spec = {
      ...stagesSpec(model, join(folder, 'job'), ['q_proj']),
      method: { name: 'solar' } as const,
    }
    await expect(runTask(spec)).rejects.toMatchObject({ code: 'bad_request' })
  })

  test('a folder without a job, and one whose file is damaged', async () => {
    const folder = await tempFolder()
    await expect(assemble(folder, join(folder, 'out'))).rejects.toMatchObject({ code: 'not_found' })
    await writeFile(join(folder, 'job.json'), '{"model": 3}')
    await expect(assemble(folder, join(folder, 'out'))).rejects.toMatchObject({
      code: 'damaged_file',
    })
  })
})

describe('a job folder that is used again', () => {
  test('saves the decomposition when only the training differs, and everything when nothing does', async () => {
    const { folder, model } = await tiny()
    const job = join(folder, 'job')
    const run = (out: string, learningRate: number) =>
      runTask(
        expandSpec({
          model,
          out: join(folder, out),
          job,
          method: { ...METHOD, predictor: { ...METHOD.predictor, learningRate } },
        }),
      )
    const store = join(job, 'stages')
    await run('first', 1e-3)
    const before = await readdir(store)
    expect(before).toHaveLength(14)
    await run('second', 2e-3)
    const added = (await readdir(store)).filter((name) => !before.includes(name))
    expect(added.map((name) => name.split('-')[0])).toEqual(Array(7).fill('weights'))
    const { events } = await run('third', 1e-3)
    expect(await readdir(store)).toHaveLength(21)
    const taken = events.filter(
      (event) => event.type === 'log' && event.text.includes("taken from the job's folder"),
    )
    expect(taken).toHaveLength(7)
    expect(await digests(join(folder, 'third'))).toEqual(await digests(join(folder, 'first')))
    expect((await digests(join(folder, 'second')))['/model.safetensors']).not.toBe(
      (await digests(join(folder, 'first')))['/model.safetensors'],
    )
  })

  test('goes on after a cancel where it was', async () => {
    const { folder, model } = await tiny()
    const job = join(folder, 'job')
    const controller = new AbortController()
    const spec = expandSpec({
      model,
      out: join(folder, 'out'),
      job,
      method: METHOD,
    })
    const cancelled = runTask(spec, {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'step' && event.id === 'o_proj/train') controller.abort()
      },
    })
    await expect(cancelled).rejects.toThrow()
    const finished = (await readdir(join(job, 'stages'))).filter((name) =>
      name.startsWith('weights-'),
    )
    expect(finished.map((name) => name.split('-')[1])).toEqual(['k_proj', 'q_proj', 'v_proj'])
    expect((await readdir(folder)).sort()).toEqual(['job', 'model'])
    const { events } = await runTask(spec)
    const taken = events.filter(
      (event) => event.type === 'log' && event.text.includes("job's folder"),
    )
    expect(taken).toHaveLength(3)
  })
})

describe('a damaged stage', () => {
  const damages: Record<string, (file: string) => Promise<void>> = {
    zeros: async (file) => writeFile(file, Buffer.alloc((await stat(file)).size)),
    'one bit': async (file) => {
      const bytes = await readFile(file)
      bytes[bytes.length >> 1]! ^= 1
      await writeFile(file, bytes)
    },
    half: async (file) => truncate(file, (await stat(file)).size >> 1),
    nothing: (file) => truncate(file, 0),
    removed: (file) => rm(file),
  }

  test('is computed again, whichever file it is and whatever befell it, and said so', async () => {
    const { folder, model } = await tiny()
    const job = join(folder, 'job')
    const run = (out: string) =>
      runTask(expandSpec({ model, out: join(folder, out), job, method: METHOD }))
    await run('good')
    const good = await digests(join(folder, 'good'))
    const stages = await readdir(join(job, 'stages'))
    const files = async (kind: string): Promise<string[]> => {
      const stage = join(job, 'stages', stages.find((name) => name.startsWith(kind)) ?? '')
      return (await readdir(stage)).map((name) => join(stage, name))
    }
    const weights = await files('weights-up_proj')
    const victims = [...weights, ...(await files('decomposition-up_proj'))]
    const ways = Object.entries(damages)
    for (const [index, file] of victims.entries()) {
      const [way, damage] = ways[index % ways.length]!
      await damage(file)
      // A decomposition is read only where its weights are missing.
      if (!weights.includes(file)) await rm(weights[0] ?? '', { force: true })
      const { events } = await run(`out${index}`)
      const warnings = events.filter((event) => event.type === 'log' && event.level === 'warning')
      expect(JSON.stringify(warnings), `${way} ${file}`).toContain(basename(dirname(file)))
      expect(await digests(join(folder, `out${index}`))).toEqual(good)
    }
    // Nothing is left of what was damaged.
    expect(await readdir(join(job, 'stages'))).toEqual(stages)
  })

  test('is missing for the assembly, which says why', async () => {
    const { folder, model } = await tiny()
    const job = join(folder, 'job')
    await runStages(stagesSpec(model, job, WEIGHT_TYPES))
    const store = join(job, 'stages')
    const stage = (await readdir(store)).find((name) => name.startsWith('weights-q_proj')) ?? ''
    const file = join(store, stage, 'report.json')
    await damages['half']!(file)
    await expect(assemble(job, join(folder, 'out'))).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringMatching(/lacks q_proj\. .*report\.json has \d+ bytes/) as string,
    })
    expect((await runStages(stagesSpec(model, job, ['q_proj']))).missing).toEqual([])
    await assemble(job, join(folder, 'out'))
  })

  test('of the job itself: every bit of it counts', async () => {
    const { folder, model } = await tiny()
    const job = join(folder, 'job')
    await runStages(stagesSpec(model, job, ['q_proj']))
    const file = join(job, 'job.json')
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace(/"seed": \d+/, '"seed": 4711'))
    await expect(assemble(job, join(folder, 'out'))).rejects.toMatchObject({ code: 'damaged_file' })
  })
})

describe('a bound on memory', () => {
  test('below what any plan needs is refused with the smallest that works, before anything is written', async () => {
    const { folder, model } = await tiny()
    const spec = expandSpec({
      model,
      out: join(folder, 'out'),
      method: learnedMethod('paper'),
      memoryBytes: 1e6,
    })
    await expect(runTask(spec)).rejects.toMatchObject({
      code: 'not_enough_memory',
      hint: expect.stringMatching(/smallest bound that works is [\d.]+ [MG]B/) as string,
    })
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('that leaves no room for the coordinates puts them into a file, with the same result', async () => {
    // Deep enough for a mini-batch's rows to be fewer than all.
    const { folder, model } = await tiny(16)
    const checkpoint = await Checkpoint.open(model)
    const shapes = WEIGHT_TYPES.map((type) => new StackedMatrix(checkpoint, type))
    await checkpoint.close()
    const bound = Math.max(...shapes.map(leastBytes))
    // For the widest type the bound is too small to keep its coordinates in memory.
    expect(Math.max(...shapes.map(fullBytes))).toBeGreaterThan(bound)
    const free = await runExpand(
      expandSpec({ model, out: join(folder, 'free'), method: learnedMethod('paper') }),
    )
    const tight = await runExpand(
      expandSpec({
        model,
        out: join(folder, 'tight'),
        method: learnedMethod('paper'),
        memoryBytes: bound,
      }),
    )
    const kept = await runExpand(
      expandSpec({
        model,
        out: join(folder, 'kept'),
        method: learnedMethod('paper'),
        memoryBytes: bound,
        job: join(folder, 'job'),
      }),
    )
    const weights = async (result: ExpandResult): Promise<string | undefined> =>
      (await digests(result.out))['/model.safetensors']
    expect(await weights(tight)).toBe(await weights(free))
    expect(await weights(kept)).toBe(await weights(free))
  })
})

describe('the stage store', () => {
  test('keeps the first of two results under one key, and forgets drafts of processes that died', async () => {
    const root = join(await tempFolder(), 'stages')
    const store = new StageStore(root, true)
    const a = await store.begin('weights', { x: 1, y: 2 })
    await writeFile(join(a.folder, 'who'), 'a')
    const kept = await a.commit()
    const b = await store.begin('weights', { y: 2, x: 1 })
    await writeFile(join(b.folder, 'who'), 'b')
    expect(await b.commit()).toBe(kept)
    expect(await readFile(join(kept, 'who'), 'utf8')).toBe('a')
    expect(await store.find('weights', { x: 1, y: 2 })).toEqual({ folder: kept })
    expect(await store.find('weights', { x: 1, y: 3 })).toBeNull()
    // No system gives out this process number.
    await mkdir(join(root, `weights-0123456789abcdef.${hostname()}.2147483646.tmp`))
    await mkdir(join(root, 'weights-0123456789abcdef.another-host.2147483646.tmp'))
    const c = await store.begin('weights', { x: 9 })
    await c.discard()
    expect((await readdir(root)).filter((name) => name.endsWith('.tmp'))).toEqual([
      'weights-0123456789abcdef.another-host.2147483646.tmp',
    ])
  })
})

describe('seven processes at once', () => {
  beforeAll(async () => {
    // Builds what is out of date, once.
    expect((await lesa(['--version'])).code).toBe(0)
  })

  interface Outcome {
    readonly code: number | null
    readonly stderr: string
  }

  function lesa(
    args: readonly string[],
    onStart?: (kill: () => void, stderr: () => string) => void,
  ): Promise<Outcome> {
    const child = spawn(process.execPath, [SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk
      onStart?.(
        () => child.kill('SIGKILL'),
        () => stderr,
      )
    })
    return new Promise((done) => child.once('close', (code) => done({ code, stderr })))
  }

  test('one of them killed and started again, give the bytes of one run', async () => {
    const { folder, model } = await tiny(6)
    const job = join(folder, 'job')
    const part = (type: WeightType) => [
      'expand',
      model,
      '--job',
      job,
      '--only',
      type,
      '--preset',
      'paper',
      '--device',
      'cpu',
    ]
    const outcomes = await Promise.all(
      WEIGHT_TYPES.map((type) =>
        // Killed as soon as it says anything: when it has begun, and before it can have finished.
        type === 'up_proj' ? lesa(part(type), (kill) => kill()) : lesa(part(type)),
      ),
    )
    const killed = WEIGHT_TYPES.indexOf('up_proj')
    outcomes.forEach(({ code, stderr }, index) => {
      if (index === killed) expect(code).not.toBe(0)
      else expect(code, stderr).toBe(0)
    })
    const out = join(folder, 'parts')
    const early = await lesa(['assemble', '--job', job, '--out', out])
    expect(early.code).toBe(1)
    expect(early.stderr).toContain('lacks up_proj')
    expect((await lesa(part('up_proj'))).code).toBe(0)
    expect((await lesa(['assemble', '--job', job, '--out', out])).code).toBe(0)
    const whole = await runExpand(
      expandSpec({ model, out: join(folder, 'whole'), method: learnedMethod('paper') }),
    )
    expect(await digests(out)).toEqual(await digests(whole.out))
  })
})
