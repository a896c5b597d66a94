import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_EXPORT } from '@shared/exports'
import { BASE_NAME, curveSeries } from '@shared/pretraining'
import {
  DEFAULT_DRAFT,
  runSettingsOf,
  type ProjectView,
  type RunSettings,
  type RunSummary,
} from '@shared/projects'
import {
  DEFAULT_TRAINING,
  type StartChoice,
  type TrainingSettings,
  type TrainingSummary,
} from '@shared/trainings'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Desk } from '../support/desk'

let folder: string
let desk: Desk
let project: ProjectView
/** Two layers in the middle, the rest as it was. */
const mean: RunSettings = {
  ...runSettingsOf(DEFAULT_DRAFT),
  device: 'cpu',
  method: { name: 'neighbour-mean', gaps: [4, 7] },
}
let settings: TrainingSettings

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa trainings ü-')))
  desk = new Desk(folder)
  project = await desk.call('projects:createDemo')
  settings = {
    ...DEFAULT_TRAINING,
    runs: [],
    texts: [{ text: project.texts[0]?.id ?? '' }],
    amount: { steps: 4 },
    context: 32,
    batch: 2,
    evalShare: 0.02,
    evalEvery: 2,
    device: 'cpu',
  }
})

afterAll(async () => {
  await desk.close()
  rmSync(folder, { recursive: true, force: true })
})

const view = (): Promise<ProjectView> => desk.call('projects:get', project.id)
const trainingNow = async (id: string): Promise<TrainingSummary> =>
  (await desk.call('trainings:get', project.id, id)).training
const runNow = async (id: string): Promise<RunSummary | undefined> =>
  (await view()).runs.find((run) => run.id === id)

/** Starts a training and resolves when it has ended and its runs are there. */
async function trained(
  request: Partial<TrainingSettings>,
  grow: readonly RunSettings[] = [],
): Promise<TrainingSummary> {
  const started = await desk.call('trainings:start', project.id, {
    settings: { ...settings, ...request },
    grow: [...grow],
  })
  await desk.ended(started.job ?? '')
  return trainingNow(started.id)
}

describe('a race of starts', () => {
  let choices: readonly StartChoice[]
  let race: TrainingSummary

  it('knows what can be compared with a growth', async () => {
    const started = await desk.call('runs:start', project.id, { settings: mean })
    await desk.ended(started.job ?? '')
    choices = await desk.call('trainings:starts', project.id, mean)
    expect(choices.map(({ method, state }) => [method, state])).toEqual([
      ['lesa', 'missing'],
      ['fitted', 'missing'],
      ['llama-pro', 'missing'],
      ['opt-deus', 'missing'],
      ['solar', 'missing'],
      ['interpolation', 'missing'],
      ['stack', 'missing'],
      ['neighbour-mean', 'grown'],
      ['noise', 'missing'],
    ])
  })

  it('reads only what was opened', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'lesa-elsewhere-'))
    try {
      const path = join(elsewhere, 'a.txt')
      writeFileSync(path, 'Not asked for.')
      const runs = ['001-neighbour-mean']
      for (const field of [{ texts: [{ path }] }, { evalText: { path } }]) {
        const request = { settings: { ...settings, runs, ...field }, grow: [] }
        for (const call of ['trainings:start', 'trainings:estimate'] as const) {
          await expect(desk.call(call, project.id, request)).rejects.toMatchObject({
            code: 'path_denied',
            context: { file: path },
          })
        }
      }
      expect((await view()).trainings).toEqual([])
    } finally {
      rmSync(elsewhere, { recursive: true, force: true })
    }
  })

  it('says what it will cost', async () => {
    const estimate = await desk.call('trainings:estimate', project.id, {
      settings: { ...settings, runs: ['001-neighbour-mean'] },
      grow: [],
    })
    expect(estimate.training).toMatchObject({ steps: 4, tokensPerStep: 64 })
    expect(estimate.seconds.high).toBeGreaterThan(0)
  })

  it('grows what is missing, and trains all on the same batches', async () => {
    const pro = choices.find(({ method }) => method === 'llama-pro')
    if (pro?.state !== 'missing') throw new Error('it is there')
    race = await trained({ runs: ['001-neighbour-mean'] }, [pro.settings])
    expect(race.error).toBeNull()
    expect(race).toMatchObject({
      state: 'succeeded',
      settings: { runs: ['001-neighbour-mean', '002-llama-pro'] },
      canResume: false,
      workBytes: 0,
      result: { tokens_per_step: 64, starts: [{ steps: 4 }, { steps: 4 }] },
    })
    const [first, second] = race.result?.starts ?? []
    // What changes nothing at first begins with the base's loss.
    expect(second?.eval?.first).toBeCloseTo(race.result?.base?.eval ?? NaN, 4)
    expect(first?.trained_layers).toHaveLength(2)
    const own = join(project.path, 'trainings', race.id)
    expect(readdirSync(own).sort()).toEqual([
      'log.jsonl',
      'metrics.jsonl',
      'result.json',
      'training.json',
    ])
  })

  it('keeps its curves', async () => {
    const { series } = await desk.call('trainings:series', project.id, race.id, { maxPoints: 100 })
    for (const run of race.settings.runs) {
      expect(series[curveSeries('loss', run)]?.x).toEqual([1, 2, 3, 4])
      expect(series[curveSeries('eval', run)]?.x).toEqual([0, 2, 4])
    }
    expect(series[curveSeries('eval', BASE_NAME)]?.y).toHaveLength(1)
    const { timings, spec, versions } = await desk.call('trainings:get', project.id, race.id)
    expect(timings.length).toBeGreaterThan(0)
    expect(timings.every(({ seconds }) => seconds !== null)).toBe(true)
    expect(spec.models.map(({ name }) => name)).toEqual(race.settings.runs)
    expect(versions.onnxruntime).toMatch(/^\d+\.\d+/)
  })

  it('makes a run of each model that it has trained', async () => {
    const { starts = [] } = race.result ?? {}
    for (const { run, trained: made } of starts) {
      const before = await runNow(run)
      const after = await runNow(made ?? '')
      expect(after).toMatchObject({
        name: `${before?.name}, 4 steps`,
        method: before?.method,
        state: 'succeeded',
        newLayers: before?.newLayers,
        settings: before?.settings,
        training: { training: race.id, run, records: [{ steps: 4, tokens: 256, context: 32 }] },
      })
      expect(after?.training?.records[0]?.texts).toMatchObject([{ name: 'eval.txt' }])
    }
    // What is compared with a growth is what was grown.
    const again = await desk.call('trainings:starts', project.id, mean)
    expect(again.find(({ method }) => method === 'neighbour-mean')).toMatchObject({
      run: '001-neighbour-mean',
    })
  })

  it('shows what became of the layers', async () => {
    const [start] = race.result?.starts ?? []
    const made = start?.trained ?? ''
    await expect.poll(async () => (await runNow(made))?.hasAnalysis, { timeout: 30_000 }).toBe(true)
    const before = await desk.call('runs:analysis', project.id, start?.run ?? '')
    const after = await desk.call('runs:analysis', project.id, made)
    expect(after?.layers).toEqual(before?.layers)
    const [isOld, isNew] = [0, 5].map(
      (layer) => after?.types['q_proj']?.norms[layer] === before?.types['q_proj']?.norms[layer],
    )
    expect([isOld, isNew]).toEqual([true, false])
  })

  it('and the trained models are measured, compared and exported as others are', async () => {
    const made = (race.result?.starts ?? []).map((start) => start.trained ?? '')
    const { text } = await desk.call('projects:addText', project.id, {
      name: 'short.txt',
      content: 'A short text is enough to see that it is measured.',
    })
    const job = await desk.call('evaluations:start', project.id, {
      text: text.id,
      subjects: made,
      context: 128,
      perLine: false,
      device: 'cpu',
    })
    expect((await desk.ended(job.id)).state).toBe('succeeded')
    const { rows } = await desk.call('projects:compare', project.id, made)
    expect(rows.map(({ perplexities }) => perplexities.length)).toEqual([1, 1])
    expect(rows[0]?.settings['training']).toMatch(/^4 steps, 256 tokens/)

    const out = join(folder, 'exports', 'trained')
    await desk.call('folders:open', join(folder, 'exports'))
    const pro = made[1] ?? ''
    const started = await desk.call('exports:start', project.id, pro, { ...DEFAULT_EXPORT, out })
    const { result, error } = await desk.ended(started.id)
    expect(error).toBeUndefined()
    const checks = result?.kind === 'export' ? result.checks : []
    expect(checks.filter(({ state }) => state === 'failed')).toEqual([])
    const described = JSON.parse(readFileSync(join(out, 'lesa.json'), 'utf8')) as object
    expect(described).toMatchObject({ method: 'llama-pro', training: [{ steps: 4 }] })
    expect(readFileSync(join(out, 'README.md'), 'utf8')).toContain('eval.txt')
  })

  it('is forgotten without its models', async () => {
    const made = (race.result?.starts ?? []).map((start) => start.trained ?? '')
    const after = await desk.call('trainings:delete', project.id, race.id)
    expect(after.trainings).toEqual([])
    expect(after.runs.map(({ id }) => id)).toEqual(expect.arrayContaining(made))
    expect(existsSync(join(project.path, 'trainings', race.id))).toBe(false)
  })
})

describe('a training that is stopped', () => {
  it('is paused with what it has, found again by another program, and goes on', async () => {
    const request = {
      settings: { ...settings, runs: ['001-neighbour-mean'], amount: { steps: 400 } },
      grow: [],
    }
    const started = await desk.call('trainings:start', project.id, request)
    const curve = curveSeries('loss', '001-neighbour-mean')
    await desk.until(started.job ?? '', ({ series }) => (series[curve]?.x.length ?? 0) > 2)
    expect((await desk.call('jobs:pause', started.job ?? '')).state).toBe('pausing')
    expect((await desk.ended(started.job ?? '')).state).toBe('paused')
    expect(await trainingNow(started.id)).toMatchObject({ state: 'paused', canResume: true })
    const steps = (await desk.call('trainings:series', project.id, started.id, { maxPoints: 1000 }))
      .series[curve]?.x.length

    await desk.close()
    desk = new Desk(folder)
    project = await desk.call('projects:open', project.path)
    expect(project.trainings).toMatchObject([{ id: started.id, state: 'paused', canResume: true }])
    expect(project.workBytes).toBeGreaterThan(0)
    const resumed = await desk.call('trainings:resume', project.id, started.id)
    await desk.until(
      resumed.job ?? '',
      ({ series }) => (series[curve]?.x.at(-1) ?? 0) > (steps ?? 0) + 2,
    )
    await desk.call('jobs:cancel', resumed.job ?? '')
    expect((await desk.ended(resumed.job ?? '')).state).toBe('cancelled')
    const { series } = await desk.call('trainings:series', project.id, started.id, {
      maxPoints: 1000,
    })
    const { x = [] } = series[curve] ?? {}
    expect(x).toEqual(x.map((_, index) => index + 1))
    expect((await view()).runs.every(({ training }) => training?.training !== started.id)).toBe(
      true,
    )
  })

  it('fails when a start could not be grown, and says which', async () => {
    const lesa = { ...runSettingsOf(DEFAULT_DRAFT), device: 'cpu' as const }
    const started = await desk.call('trainings:start', project.id, {
      settings: { ...settings, runs: ['001-neighbour-mean'] },
      grow: [lesa],
    })
    const [run = ''] = started.waitsFor
    const growth = (await view()).runs.find(({ id }) => id === run)
    await desk.call('jobs:cancel', growth?.job ?? '')
    const job = await desk.ended(started.job ?? '')
    expect(job.state).toBe('failed')
    expect(await trainingNow(started.id)).toMatchObject({
      state: 'failed',
      error: {
        code: 'not_found',
        message: `A start is missing. ${growth?.name} was cancelled before it was grown.`,
      },
    })
  })
})
