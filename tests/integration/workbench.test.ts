import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MethodSpec } from '@shared/methods'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { DEFAULT_DRAFT, runSettingsOf, type ProjectView, type RunSettings } from '@shared/projects'
import { DEFAULT_EXPORT } from '@shared/exports'
import { WEIGHT_TYPES } from '../support/weightTypes'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Desk } from '../support/desk'

let folder: string
let desk: Desk

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa workbench ü-')))
  desk = new Desk(folder)
})

afterAll(async () => {
  await desk.close()
  rmSync(folder, { recursive: true, force: true })
})

const settings = (method: MethodSpec, changes: Partial<RunSettings> = {}): RunSettings => ({
  ...runSettingsOf(DEFAULT_DRAFT),
  device: 'cpu',
  method,
  ...changes,
})

/** LESA, quick: its predictions are not what is looked at here. */
const lesa = (steps = 20, name: 'lesa' | 'noise' = 'lesa'): MethodSpec => ({
  name,
  useSvd: true,
  energy: 1,
  holdout: [6],
  predictor: { ...PRESET_SETTINGS.matched, length: { unit: 'steps', value: steps } },
})

describe('a project, from the demo to an export', () => {
  let project: ProjectView
  let run: string
  let pro: string

  it('is made in one call, complete in one folder', async () => {
    project = await desk.call('projects:createDemo')
    expect(project).toMatchObject({
      name: 'Demo',
      model: { state: 'ready', path: join(folder, 'projects', 'Demo', 'model') },
      texts: [{ name: 'eval.txt', exists: true }],
      runs: [],
      problems: [],
    })
    const stored = JSON.parse(readFileSync(join(project.path, 'project.json'), 'utf8')) as unknown
    expect(stored).toMatchObject({ schema_version: 1, model: { path: 'model' } })
    expect(await desk.call('recents:list')).toMatchObject([
      { kind: 'project', path: project.path, name: 'Demo', exists: true },
    ])
  })

  it('says what a run will cost', async () => {
    const estimate = await desk.call('runs:estimate', project.id, settings(lesa()))
    expect(estimate.verdict).toBe('fits')
    expect(estimate.seconds.low).toBeGreaterThan(0)
    expect(estimate.seconds.high).toBeGreaterThan(estimate.seconds.low)
    expect(estimate.hostBytesPeak).toBeLessThan(estimate.freeMemory)
    expect(estimate.breakdown.seconds.map(({ label }) => label)).toContain('train predictors')
    expect(estimate.reasons.length).toBeGreaterThan(0)
  })

  it('runs LESA and keeps everything about it', async () => {
    const started = await desk.call('runs:start', project.id, { settings: settings(lesa()) })
    run = started.id
    expect(started).toMatchObject({ id: '001-lesa', name: 'LESA', layersAfter: 18 })
    const job = await desk.ended(started.job ?? '')
    expect(job).toMatchObject({ state: 'succeeded', owner: { project: project.id, run } })

    const detail = await desk.call('runs:get', project.id, run)
    expect(detail.run).toMatchObject({
      state: 'succeeded',
      newLayers: [6, 8, 10, 12, 14, 16],
      model: { path: join(project.path, 'runs', run, 'model') },
      hasAnalysis: true,
      canResume: false,
      isOfThisModel: true,
    })
    expect(detail.versions.onnxruntime).toMatch(/^\d+\.\d+/)
    expect(detail.timings.every(({ seconds }) => seconds !== null)).toBe(true)
    expect(detail.timings.map(({ id }) => id)).toContain('gate_proj/train')
    expect(detail.series.map(({ name }) => name)).toContain('loss/q_proj')
    expect(detail.log.some(({ level }) => level === 'warning')).toBe(true)

    const { series } = await desk.call('runs:series', project.id, run, { maxPoints: 1000 })
    expect(series['loss/q_proj']?.x.at(-1)).toBe(20)
    expect(readdirSync(join(project.path, 'runs', run)).sort()).toEqual([
      'analysis.json',
      'directions',
      'log.jsonl',
      'metrics.jsonl',
      'model',
      'predictors',
      'run.json',
    ])
    expect(readdirSync(join(project.path, 'runs', run, 'predictors'))).toHaveLength(7)
  })

  it('shows what the new layers look like', async () => {
    const analysis = await desk.call('runs:analysis', project.id, run)
    expect(analysis?.layers.map(({ label }) => label).slice(4, 9)).toEqual([
      '4',
      '5',
      '5½',
      '6',
      '6½',
    ])
    for (const type of WEIGHT_TYPES) {
      const found = analysis?.types[type]
      expect(found?.norms).toHaveLength(18)
      expect(found?.neighbourCosines).toHaveLength(17)
      expect(found?.singularValues?.y).toHaveLength(found?.rank ?? 0)
      expect(found?.energy?.y.at(-1)).toBeCloseTo(1, 6)
      expect(found?.predictor?.holdout?.layers).toMatchObject([{ layer: 6 }])
    }
    const ask = (method: 'pca' | 'tsne', seed: number) =>
      desk.call('runs:projection', project.id, run, { type: 'gate_proj', method, seed })
    const pca = await ask('pca', 0)
    expect(pca.points).toHaveLength(18)
    expect(pca.points.filter(({ isPredicted }) => isPredicted)).toHaveLength(6)
    expect(pca.explained?.[0]).toBeGreaterThan(pca.explained?.[1] ?? 1)
    expect(pca.predicted).toHaveLength(6)
    expect(['clear', 'weak', 'none']).toContain(pca.continuity.verdict)
    const tsne = await ask('tsne', 1)
    expect(tsne.points.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y))).toBe(true)
    expect(await ask('tsne', 1)).toEqual(tsne)
    expect((await ask('tsne', 2)).points).not.toEqual(tsne.points)
  })

  it('uses the kept decompositions in a second run with other settings', async () => {
    const started = await desk.call('runs:start', project.id, {
      settings: settings(lesa(20, 'noise')),
    })
    await desk.ended(started.job ?? '')
    const view = await desk.call('projects:get', project.id)
    expect(view.workBytes).toBeGreaterThan(1e6)
    const names = readdirSync(join(project.path, 'work', 'stages'))
    expect(names.filter((name) => name.startsWith('decomposition-'))).toHaveLength(7)
    expect(names.filter((name) => name.startsWith('weights-'))).toHaveLength(14)
    expect((await desk.call('projects:clearWork', project.id)).workBytes).toBe(0)
  })

  it('measures perplexities and remembers them', async () => {
    const started = await desk.call('runs:start', project.id, {
      settings: settings({ name: 'llama-pro' }),
      name: 'Identity',
    })
    pro = started.id
    await desk.ended(started.job ?? '')
    const [text] = project.texts
    const request = {
      text: text?.id ?? '',
      subjects: ['base', run, pro],
      context: 128,
      perLine: false,
      device: 'cpu' as const,
    }
    const job = await desk.call('evaluations:start', project.id, request)
    await desk.ended(job.id)
    const { perplexities } = await desk.call('projects:get', project.id)
    expect(perplexities.map(({ subject }) => subject)).toEqual(['base', run, pro])
    const [base, , identity] = perplexities
    expect(base?.perplexity).toBeGreaterThan(1)
    expect(identity?.perplexity).toBeCloseTo(base?.perplexity ?? NaN, 5)
    await expect(desk.call('evaluations:start', project.id, request)).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'subjects' },
    })
  })

  it('compares them side by side', async () => {
    const { rows, settings: keys, measurements } = await desk.call('projects:compare', project.id)
    expect(rows.map(({ subject }) => subject)).toEqual(['base', pro, '002-noise', run])
    expect(rows.map(({ layers }) => layers)).toEqual([12, 15, 18, 18])
    expect(rows.at(-1)?.quality?.errorOverZero).toBeGreaterThan(0)
    expect(rows.at(-1)?.settings).toMatchObject({ gaps: '5-10', length: '20 steps' })
    expect(keys.find(({ key }) => key === 'method')).toMatchObject({ differs: true })
    expect(keys.find(({ key }) => key === 'seed')).toMatchObject({ differs: false })
    expect(measurements).toEqual([
      {
        text: project.texts[0]?.id,
        name: 'eval.txt',
        context: 128,
        perLine: false,
        tokens: expect.any(Number) as number,
      },
    ])
  })

  it('exports what it grew, and verifies it', async () => {
    const out = join(folder, 'exports', 'identity')
    const options = { ...DEFAULT_EXPORT, out, maxShardBytes: 2e6 }
    await expect(desk.call('exports:preview', project.id, pro, options)).rejects.toMatchObject({
      code: 'path_denied',
    })
    await desk.call('folders:open', join(folder, 'exports'))
    const preview = await desk.call('exports:preview', project.id, pro, options)
    expect(preview).toMatchObject({ destination: 'free', problems: [], shards: 4 })
    expect(preview.card).toContain('| Perplexity |')
    expect(existsSync(out)).toBe(false)

    const job = await desk.ended((await desk.call('exports:start', project.id, pro, options)).id)
    expect(job.error).toBeUndefined()
    expect(job.result).toMatchObject({ kind: 'export', out, shards: 4, bytes: preview.bytes })
    const checks = job.result?.kind === 'export' ? job.result.checks : []
    expect(checks.map(({ id, state }) => `${id} ${state}`)).toEqual([
      'reopened passed',
      'tensors_complete passed',
      'originals_identical passed',
      'weights_finite passed',
      'forward_finite passed',
      'logits_equal_base passed',
    ])
    expect(readFileSync(join(out, 'README.md'), 'utf8')).toBe(preview.card)
    const view = await desk.call('projects:get', project.id)
    expect(view.runs.find(({ id }) => id === pro)?.exports).toMatchObject([{ out, checks }])
    expect(await desk.call('models:inspect', out)).toMatchObject({ num_hidden_layers: 15 })

    // Nothing that would take the project or its model along.
    await desk.call('folders:open', folder)
    for (const taken of [join(project.path, 'model'), join(project.path, 'texts'), folder]) {
      const wrong = { ...options, out: taken, overwrite: true }
      expect((await desk.call('exports:preview', project.id, pro, wrong)).problems).not.toEqual([])
      await expect(desk.call('exports:start', project.id, pro, wrong)).rejects.toMatchObject({
        code: 'path_denied',
      })
    }

    const again = await desk.call('exports:preview', project.id, pro, options)
    expect(again).toMatchObject({ destination: 'checkpoint' })
    expect(again.problems).toHaveLength(1)
  })

  it('exports in another element type, which the checklist says', async () => {
    const out = join(folder, 'exports', 'f32')
    const options = { ...DEFAULT_EXPORT, out, dtype: 'f32' as const }
    const job = await desk.ended((await desk.call('exports:start', project.id, run, options)).id)
    const checks = job.result?.kind === 'export' ? job.result.checks : []
    expect(Object.fromEntries(checks.map(({ id, state }) => [id, state]))).toEqual({
      reopened: 'passed',
      tensors_complete: 'passed',
      originals_identical: 'skipped',
      weights_finite: 'passed',
      forward_finite: 'passed',
      logits_equal_base: 'skipped',
    })
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as object
    expect(Object.values(config)).toContain('float32')
    expect(readdirSync(join(out, 'lesa'))).toHaveLength(7)
  })

  it('is found as it was by another program, and not twice at once', async () => {
    const before = await desk.call('projects:get', project.id)
    const other = new Desk(folder)
    await expect(other.call('projects:open', project.path)).rejects.toMatchObject({
      code: 'in_use',
    })
    await other.close()
    await desk.close()
    desk = new Desk(folder)
    const after = await desk.call('projects:open', project.path)
    expect({ ...after, runs: after.runs.map((each) => ({ ...each, job: null })) }).toEqual({
      ...before,
      runs: before.runs.map((each) => ({ ...each, job: null })),
    })
  })

  it('frees the space of a grown model, which can be made again', async () => {
    await desk.call('runs:deleteModel', project.id, pro)
    const out = join(folder, 'exports', 'late')
    await desk.call('folders:open', join(folder, 'exports'))
    await expect(
      desk.call('exports:start', project.id, pro, { ...DEFAULT_EXPORT, out }),
    ).rejects.toMatchObject({ code: 'not_found' })
    const again = await desk.call('runs:retry', project.id, pro)
    await desk.ended(again.job ?? '')
    const view = await desk.call('projects:get', project.id)
    expect(again.id).not.toBe(pro)
    expect(view.runs.find(({ id }) => id === again.id)).toMatchObject({
      state: 'succeeded',
      model: { bytes: expect.any(Number) as number },
    })
    // The record of the first, with what was measured of it, stays as it was.
    expect(view.runs.find(({ id }) => id === pro)).toMatchObject({
      state: 'succeeded',
      model: null,
    })
    expect(view.perplexities.map(({ subject }) => subject)).toContain(pro)
    await desk.call('runs:delete', project.id, again.id)
  })

  it('can be copied, and thrown away', async () => {
    const copy = await desk.call('projects:duplicate', project.id, { name: 'Copy', withRuns: true })
    expect(copy).toMatchObject({ name: 'Copy', path: join(folder, 'projects', 'Copy') })
    expect(copy.model).toMatchObject({ state: 'ready', path: join(copy.path, 'model') })
    expect(copy.runs.map(({ id, model }) => [id, model])).toEqual([
      [pro, null],
      ['002-noise', null],
      [run, null],
    ])
    const { movedTo } = await desk.call('projects:delete', copy.id)
    expect(existsSync(copy.path)).toBe(false)
    expect(existsSync(join(movedTo ?? '', 'project.json'))).toBe(true)
    expect((await desk.call('recents:list')).map(({ path }) => path)).not.toContain(copy.path)
  })
})

describe('a run that is stopped', () => {
  it('goes on where it was when the program ended in the middle', async () => {
    const { id, path } = await desk.call('projects:createDemo')
    const started = await desk.call('runs:start', id, { settings: settings(lesa(400)) })
    // The first weight type is done, the second trains.
    await desk.until(started.job ?? '', ({ series }) => 'loss/k_proj' in series)
    await desk.close()
    const stored = JSON.parse(
      readFileSync(join(path, 'runs', started.id, 'run.json'), 'utf8'),
    ) as object
    expect(stored).toMatchObject({ state: 'interrupted' })
    expect(existsSync(join(path, 'runs', started.id, 'model.partial'))).toBe(false)

    desk = new Desk(folder)
    const opened = await desk.call('projects:open', path)
    expect(opened.runs).toMatchObject([{ state: 'interrupted', canResume: true, model: null }])
    const resumed = await desk.call('runs:resume', id, started.id)
    const job = await desk.ended(resumed.job ?? '')
    expect(job.state).toBe('succeeded')
    expect(job.log.map(({ text }) => text)).toContain("q_proj: taken from the job's folder")
    const { series } = await desk.call('runs:series', id, started.id, { maxPoints: 10_000 })
    for (const type of WEIGHT_TYPES) {
      const { x = [] } = series[`loss/${type}`] ?? {}
      expect(x.at(-1)).toBe(400)
      expect([...x].sort((a, b) => a - b)).toEqual(x)
    }
  })

  it('is found interrupted when the program was killed', async () => {
    const { id, path } = await desk.call('projects:createDemo')
    const started = await desk.call('runs:start', id, { settings: settings(lesa(400)) })
    await desk.until(started.job ?? '', ({ series }) => 'loss/q_proj' in series)
    // What a killed program leaves: the folder as it is now, its lock, and no one behind it.
    const copy = join(folder, 'projects', 'Killed')
    cpSync(path, copy, { recursive: true })
    desk.workbench.jobs.cancel(started.job ?? '')
    await desk.ended(started.job ?? '')
    await desk.call('folders:open', copy)
    const opened = await desk.call('projects:open', copy)
    expect(opened.runs).toMatchObject([{ id: started.id, state: 'interrupted' }])
    expect(id).not.toBe(opened.id)
  })

  it('is paused when what it computes is kept, and goes on from there', async () => {
    const { id } = await desk.call('projects:createDemo')
    const started = await desk.call('runs:start', id, { settings: settings(lesa(400)) })
    await desk.until(started.job ?? '', ({ series }) => 'loss/q_proj' in series)
    expect((await desk.call('jobs:pause', started.job ?? '')).state).toBe('pausing')
    expect((await desk.ended(started.job ?? '')).state).toBe('paused')
    const { run, timings } = await desk.call('runs:get', id, started.id)
    expect(run).toMatchObject({ state: 'paused', canResume: true, model: null })
    expect(timings.find((timing) => timing.id === 'q_proj/predict')?.seconds).not.toBeNull()

    const resumed = await desk.call('runs:resume', id, started.id)
    const end = await desk.ended(resumed.job ?? '')
    expect(end.state).toBe('succeeded')
    expect(end.log.map(({ text }) => text)).toContain("q_proj: taken from the job's folder")
  })

  it('leaves no model when it is cancelled, and fails plainly when the engine dies', async () => {
    const { id, path } = await desk.call('projects:createDemo')
    const started = await desk.call('runs:start', id, { settings: settings(lesa(100_000)) })
    await desk.until(started.job ?? '', ({ series }) => 'loss/q_proj' in series)
    await desk.call('jobs:cancel', started.job ?? '')
    await desk.ended(started.job ?? '')
    expect((await desk.call('runs:get', id, started.id)).run).toMatchObject({
      state: 'cancelled',
      model: null,
    })
    expect(readdirSync(join(path, 'runs', started.id))).not.toContain('model.partial')

    const second = await desk.call('runs:retry', id, started.id)
    await desk.until(second.job ?? '', ({ series }) => 'loss/q_proj' in series)
    for (const { pid } of desk.processes) if (pid) process.kill(pid, 'SIGKILL')
    expect(await desk.ended(second.job ?? '')).toMatchObject({ state: 'failed' })
    expect((await desk.call('runs:get', id, started.id)).run).toMatchObject({
      state: 'failed',
      error: { code: 'engine_crashed' },
    })
    await desk.call('runs:delete', id, started.id)
    expect(readdirSync(join(path, 'runs'))).toEqual([])
  })
})

describe('a project that is not as it was', () => {
  it('made by a newer version is refused and not touched', async () => {
    const { id, path } = await desk.call('projects:createDemo')
    await desk.call('projects:close', id)
    const file = join(path, 'project.json')
    const stored = { ...(JSON.parse(readFileSync(file, 'utf8')) as object), schema_version: 2 }
    writeFileSync(file, JSON.stringify(stored))
    await expect(desk.call('projects:open', path)).rejects.toMatchObject({
      code: 'unsupported_version',
      context: { actual: 'version 2' },
    })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(stored)
    expect(readdirSync(path)).not.toContain('project.json.damaged-1')
  })

  it('with a damaged file keeps it aside, and what can be saved', async () => {
    const { id, path } = await desk.call('projects:createDemo')
    await desk.call('projects:update', id, { notes: 'Do not lose these.' })
    const started = await desk.call('runs:start', id, { settings: settings({ name: 'solar' }) })
    await desk.ended(started.job ?? '')
    await desk.call('projects:close', id)
    const file = join(path, 'project.json')
    const stored = { ...(JSON.parse(readFileSync(file, 'utf8')) as object), draft: 7 }
    writeFileSync(file, JSON.stringify(stored))
    const salvaged = await desk.call('projects:open', path)
    expect(salvaged).toMatchObject({
      notes: 'Do not lose these.',
      draft: DEFAULT_DRAFT,
      model: { state: 'ready' },
      runs: [{ state: 'succeeded' }],
      problems: [{ file: 'project.json', setAside: 'project.json.damaged-1' }],
    })
    expect(JSON.parse(readFileSync(`${file}.damaged-1`, 'utf8'))).toEqual(stored)

    await desk.call('projects:close', id)
    writeFileSync(file, '{"schema_version": 1, "name": "cut o')
    writeFileSync(join(path, 'runs', started.id, 'run.json'), 'nothing')
    const rescued = await desk.call('projects:open', path)
    expect(rescued).toMatchObject({ model: { state: 'missing', path: '' }, runs: [] })
    expect(rescued.problems.map(({ setAside }) => setAside)).toEqual([
      'project.json.damaged-2',
      'run.json.damaged-1',
    ])
    // The model that is named next is taken.
    const relocated = await desk.call('projects:relocateModel', id, join(path, 'model'), {
      acceptDifferent: false,
    })
    expect(relocated).toMatchObject({
      outcome: 'relocated',
      project: { model: { state: 'ready' } },
    })
  })

  it('makes no project in the Hugging Face cache', async () => {
    const cache = join(folder, 'hub')
    vi.stubEnv('HF_HUB_CACHE', cache)
    onTestFinished(() => void vi.unstubAllEnvs())
    cpSync((await desk.call('app:info')).demoModel, join(cache, 'model'), { recursive: true })
    await desk.call('folders:open', cache)
    await expect(
      desk.call('projects:create', {
        name: 'In the cache',
        model: join(cache, 'model'),
        parent: join(cache, 'projects'),
      }),
    ).rejects.toMatchObject({
      code: 'path_denied',
      message: expect.stringContaining('cache') as string,
    })
    expect(existsSync(join(cache, 'projects'))).toBe(false)
  })

  it('asks for a model that has moved, and takes only the same one', async () => {
    const home = join(folder, 'models')
    const demo = (await desk.call('app:info')).demoModel
    cpSync(demo, join(home, 'a'), { recursive: true })
    await desk.call('folders:open', home)
    const { id, path } = await desk.call('projects:create', {
      name: 'Far: away?',
      model: join(home, 'a'),
    })
    expect(path).toBe(join(folder, 'projects', 'Far- away-'))
    const started = await desk.call('runs:start', id, { settings: settings({ name: 'solar' }) })
    await desk.ended(started.job ?? '')
    await desk.call('projects:close', id)
    renameSync(join(home, 'a'), join(home, 'b'))
    expect((await desk.call('projects:open', path)).model).toMatchObject({
      state: 'missing',
      name: 'a',
    })
    await expect(
      desk.call('runs:start', id, { settings: settings({ name: 'solar' }) }),
    ).rejects.toMatchObject({ code: 'model_missing' })

    const relocate = (model: string, acceptDifferent = false) =>
      desk.call('projects:relocateModel', id, model, { acceptDifferent })
    const grown = join(path, 'runs', started.id, 'model')
    expect(await relocate(grown, true)).toMatchObject({ outcome: 'different', isCompatible: false })

    // The same shape with other weights.
    const other = join(home, 'other')
    cpSync(join(home, 'b'), other, { recursive: true })
    const weights = readFileSync(join(other, 'model.safetensors'))
    for (let at = 1_000_000; at < weights.length; at += 2) weights[at] = (weights[at] ?? 0) ^ 1
    writeFileSync(join(other, 'model.safetensors'), weights)
    expect(await relocate(other)).toMatchObject({ outcome: 'different', isCompatible: true })

    expect(await relocate(join(home, 'b'))).toMatchObject({ outcome: 'relocated' })
    expect((await desk.call('projects:get', id)).model).toMatchObject({
      state: 'ready',
      path: join(home, 'b'),
    })
    expect(await relocate(other, true)).toMatchObject({ outcome: 'relocated' })
    const view = await desk.call('projects:get', id)
    expect(view.model).toMatchObject({ state: 'ready', path: other })
    expect(view.runs).toMatchObject([{ isOfThisModel: false }])
  })
})

describe('what a person chooses', () => {
  it('is kept: settings, recents, the order of waiting jobs', async () => {
    const changed = await desk.call('settings:update', { theme: 'dark' })
    expect(changed).toMatchObject({ theme: 'dark', device: 'auto' })
    expect(await desk.call('settings:get')).toEqual(changed)
    await desk.call('settings:update', { theme: 'auto' })
    const elsewhere = join(folder, 'elsewhere')
    await expect(
      desk.call('settings:update', { projectsFolder: join(tmpdir(), '..') }),
    ).rejects.toMatchObject({ code: 'path_denied' })
    await desk.call('folders:open', elsewhere)
    await desk.call('settings:update', { projectsFolder: elsewhere })
    const { id, path } = await desk.call('projects:createDemo')
    expect(path).toBe(join(elsewhere, 'Demo'))
    await desk.call('settings:update', { projectsFolder: null })

    const start = async (name: string): Promise<string> => {
      const method = settings(name === 'first' ? lesa(100_000) : { name: 'solar' })
      return (await desk.call('runs:start', id, { settings: method, name })).job ?? ''
    }
    const first = await start('first')
    const [second, third] = [await start('second'), await start('third')]
    const order = async (): Promise<(string | undefined)[]> => {
      const { runs } = await desk.call('projects:get', id)
      const jobs = await desk.call('jobs:list')
      return jobs
        .filter(({ endedAt }) => endedAt === undefined)
        .map((job) => runs.find((each) => each.job === job.id)?.name)
    }
    expect(await order()).toEqual(['first', 'second', 'third'])
    await desk.call('jobs:moveBefore', third, second)
    expect(await order()).toEqual(['first', 'third', 'second'])
    await expect(desk.call('projects:delete', id)).rejects.toMatchObject({ code: 'bad_request' })
    for (const job of [second, third, first]) await desk.call('jobs:cancel', job)
    await desk.ended(first)
    await desk.call('projects:delete', id)
  })

  it('of texts is checked', async () => {
    const { id, texts } = await desk.call('projects:createDemo')
    const place = join(folder, 'texts')
    mkdirSync(place)
    await desk.call('folders:open', place)
    const write = (name: string, content: string | Uint8Array): string => {
      writeFileSync(join(place, name), content)
      return join(place, name)
    }
    for (const bad of [
      write('latin1.txt', Uint8Array.of(0x47, 0x72, 0xf6, 0xdf, 0x65)),
      write('empty.txt', ''),
      place,
    ]) {
      await expect(desk.call('projects:addText', id, bad)).rejects.toMatchObject({
        code: 'bad_request',
      })
    }
    await expect(desk.call('projects:addText', id, join(place, 'none.txt'))).rejects.toMatchObject({
      code: 'not_found',
    })
    const own = write('größe.txt', 'Größe ist nicht alles. '.repeat(200))
    const added = await desk.call('projects:addText', id, own)
    expect(added.project.texts.map(({ name }) => name)).toEqual(['eval.txt', 'größe.txt'])
    // The same text again is the same one, by whatever name and way it comes.
    const again = await desk.call('projects:addText', id, {
      name: 'other.txt',
      content: 'Größe ist nicht alles. '.repeat(200),
    })
    expect(again.isNew).toBe(false)
    expect(again.text.name).toBe('größe.txt')
    expect(again.project.texts).toHaveLength(2)
    const listing = await desk.call('folders:list', place, { withTexts: true })
    expect(listing.files.map(({ name }) => name)).toEqual(['empty.txt', 'größe.txt', 'latin1.txt'])
    const left = await desk.call('projects:removeText', id, texts[0]?.id ?? '')
    expect(left.texts.map(({ name }) => name)).toEqual(['größe.txt'])
  })
})

describe('a model', () => {
  it('is described down to its tensors, and its statistics are kept', async () => {
    const { demoModel } = await desk.call('app:info')
    const table = await desk.call('models:tensors', demoModel)
    const { tensors, bytes } = await desk.call('models:inspect', demoModel)
    expect(table.names).toHaveLength(tensors)
    expect(table.bytes.reduce((sum, value) => sum + value, 0)).toBe(bytes)
    expect(table.names[0]).toBe('model.embed_tokens.weight')
    const at = table.names.indexOf('model.layers.3.mlp.gate_proj.weight')
    expect(table.dtypes[table.dtypeOf[at] ?? -1]).toBe('BF16')
    expect(table.shapes[table.shapeOf[at] ?? -1]).toHaveLength(2)

    const { entries } = await desk.call('models:config', demoModel)
    expect(entries).toContainEqual({ key: 'num_hidden_layers', value: '12' })
    const growth = await desk.call('models:growth', demoModel, settings({ name: 'solar' }))
    expect(growth).toMatchObject({ layersBefore: 12, layersAfter: 18 })
    expect(growth.configChanges).toContainEqual({
      key: 'num_hidden_layers',
      before: '12',
      after: '18',
    })

    expect(await desk.call('models:statistics', demoModel)).toEqual({ state: 'absent' })
    const job = await desk.call('models:computeStatistics', demoModel)
    await desk.ended(job.id)
    const found = await desk.call('models:statistics', demoModel)
    if (found.state !== 'ready') throw new Error(found.state)
    const { rows, layers, damagedCount } = found.statistics
    expect([layers, damagedCount]).toEqual([12, 0])
    expect(rows.slice(0, 7).map(({ key }) => key)).toEqual([...WEIGHT_TYPES])
    for (const { cells } of rows) expect(cells).toHaveLength(12)
    // A cell leads to its tensor.
    const { layerPrefix } = found.statistics
    const name = `${layerPrefix}3.${rows[0]?.suffix}`
    const { figures } = await desk.call('models:tensor', demoModel, name)
    expect(figures?.norm).toBeCloseTo(rows[0]?.cells[3]?.norm ?? NaN, 6)
  })

  it('outside of what the person has opened is not looked at', async () => {
    for (const path of [
      tmpdir(),
      join(folder, '..'),
      '/etc',
      join(folder, 'projects', '..', '..'),
    ]) {
      await expect(desk.call('models:inspect', path)).rejects.toMatchObject({ code: 'path_denied' })
      await expect(desk.call('projects:open', path)).rejects.toMatchObject({ code: 'path_denied' })
    }
  })
})
