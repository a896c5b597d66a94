import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PretrainSpec } from '@shared/jobs'
import type { TrainingRequest, TrainingSettings } from '@shared/trainings'
import { DEFAULT_TRAINING } from '@shared/trainings'
import { describe, expect, it, onTestFinished } from 'vitest'
import { RunBook } from '../../../../src/main/projects/RunBook'
import { Trainings } from '../../../../src/main/projects/Trainings'
import { grow, identityOf, projectParts, solar, train } from '../../../support/projectParts'

type Parts = Awaited<ReturnType<typeof projectParts>>

/** A project with a text and a run of SOLAR that has succeeded. */
async function grown() {
  const parts = await projectParts()
  const { text } = await parts.texts.addContent('train.jsonl', '{"text": "a"}')
  const run = await growOne(parts)
  const settings: TrainingSettings = {
    ...DEFAULT_TRAINING,
    runs: [run],
    texts: [{ text: text.id }],
  }
  return { ...parts, text, run, settings, request: { settings, grow: [] } as TrainingRequest }
}

async function growOne({ runs, program, settle }: Parts): Promise<string> {
  const { id } = await runs.start(solar, undefined)
  program.end('succeeded', await grow(runs.get(id).folder))
  await settle()
  return id
}

const latest = ({ program }: Parts): { spec: PretrainSpec; mayBegin: () => boolean } => {
  const job = program.jobs.findLast(({ snapshot }) => snapshot.spec.kind === 'pretrain')
  if (job?.snapshot.spec.kind !== 'pretrain') throw new Error('no training was queued')
  return { spec: job.snapshot.spec, mayBegin: () => job.extras.mayBegin?.() ?? true }
}

/** The same folder, opened by another program. */
async function reopened({ record, base, program }: Parts) {
  const runs = new RunBook(record, base, program.services)
  const trainings = new Trainings(record, base, runs, program.services)
  await runs.load()
  await trainings.load()
  onTestFinished(() => trainings.settle())
  return { runs, trainings }
}

describe('starting a training', () => {
  it('makes its folder and queues its job', async () => {
    const parts = await grown()
    const { trainings, program, folder, model, run, text, request } = parts
    program.settings = { ...program.settings, memoryLimitBytes: 5e9 }
    const training = await trainings.start(request)
    expect(training).toMatchObject({
      id: '001-training',
      name: 'Training',
      state: 'queued',
      job: 'job-2',
      starts: [{ run, name: 'SOLAR', method: 'solar', exists: true }],
      waitsFor: [],
      result: null,
      canResume: false,
      isOfThisModel: true,
    })
    const own = join(folder, 'trainings', '001-training')
    const { spec, mayBegin } = latest(parts)
    expect(spec).toEqual({
      ...DEFAULT_TRAINING,
      kind: 'pretrain',
      models: [{ path: join(folder, 'runs', run, 'model'), name: run }],
      base: model,
      texts: [join(own, 'texts', text.id, 'train.jsonl')],
      memoryBytes: 5e9,
      job: join(own, 'work'),
      out: join(own, 'models', run),
      overwrite: true,
    })
    expect(await readFile(spec.texts[0] ?? '', 'utf8')).toBe('{"text": "a"}')
    expect(mayBegin()).toBe(true)
    expect(program.jobs.at(-1)?.extras.owner).toMatchObject({
      training: '001-training',
      name: 'Training, Mine',
    })
    // What only this machine says of it is not told.
    expect((await trainings.detail(training.id)).spec).not.toHaveProperty('memoryBytes')
  })

  it('has a limit of its own where it asks for one', async () => {
    const parts = await grown()
    parts.program.settings = { ...parts.program.settings, memoryLimitBytes: 5e9 }
    const { settings } = parts
    await parts.trainings.start({ settings: { ...settings, memoryBytes: 1e9 }, grow: [] })
    expect(latest(parts).spec.memoryBytes).toBe(1e9)
  })

  it('grows what is missing first, and waits for it', async () => {
    const parts = await grown()
    const { trainings, program, runs, run, request, settle, folder } = parts
    const training = await trainings.start({
      ...request,
      grow: [{ ...solar, method: { name: 'llama-pro', groups: 6 } }],
      name: 'Race',
    })
    expect(training).toMatchObject({
      name: 'Race',
      settings: { runs: [run, '002-llama-pro'] },
      waitsFor: ['002-llama-pro'],
    })
    const { spec, mayBegin } = latest(parts)
    expect(spec.out).toBe(join(folder, 'trainings', training.id, 'models'))
    expect(mayBegin()).toBe(false)
    const growth = program.jobs.at(-2)
    const result = await grow(runs.get('002-llama-pro').folder)
    growth?.extras.observer?.onState?.({
      ...growth.snapshot,
      state: 'succeeded',
      startedAt: 1,
      endedAt: 2,
      result,
    })
    expect(mayBegin()).toBe(true)
    expect(trainings.summary(training.id).waitsFor).toEqual([])
    await settle()
  })

  it('says which start is missing when it could not be grown', async () => {
    const parts = await grown()
    const { trainings, program, request } = parts
    await trainings.start({ ...request, grow: [solar] })
    const growth = program.jobs.at(-2)
    growth?.extras.observer?.onState?.({
      ...growth.snapshot,
      state: 'failed',
      endedAt: 2,
      error: { code: 'not_enough_memory', message: 'Too large.' },
    })
    expect(latest(parts).mayBegin).toThrow(
      expect.objectContaining({
        code: 'not_found',
        message: 'A start is missing. SOLAR 2 could not be grown: Too large.',
        hint: 'Go on with the training: SOLAR 2 is grown first.',
      }),
    )
    await parts.settle()
    // A start that has failed is no start of a new training.
    const settings = { ...request.settings, runs: ['002-solar'] }
    await expect(trainings.start({ ...request, settings })).rejects.toMatchObject({
      code: 'bad_request',
      hint: 'Go on with SOLAR 2 first.',
    })
  })

  it('that goes on grows what is missing first', async () => {
    const parts = await grown()
    const { trainings, runs, program, request, settle } = parts
    const { id } = await trainings.start({ ...request, grow: [solar] })
    for (const job of program.jobs.slice(-2)) {
      job.extras.observer?.onState?.({ ...job.snapshot, state: 'interrupted', endedAt: 2 })
    }
    await settle()
    expect(runs.summary('002-solar').state).toBe('interrupted')
    expect(await trainings.resume(id)).toMatchObject({
      state: 'queued',
      waitsFor: ['002-solar'],
    })
    expect(program.jobs.slice(-2).map(({ snapshot }) => snapshot.spec.kind)).toEqual([
      'expand',
      'pretrain',
    ])
  })

  it('queues nothing where something is wrong', async () => {
    const parts = await grown()
    const { trainings, runs, program, settings, request, folder, home } = parts
    const jobs = program.jobs.length
    const wrong: [TrainingRequest, object][] = [
      [{ ...request, settings: { ...settings, runs: [] } }, { code: 'bad_request' }],
      [{ ...request, settings: { ...settings, runs: ['009-lesa'] } }, { code: 'not_found' }],
      [
        { ...request, settings: { ...settings, runs: [...settings.runs, ...settings.runs] } },
        { code: 'bad_request', context: { field: 'runs' } },
      ],
      [{ ...request, grow: Array.from({ length: 16 }, () => solar) }, { code: 'bad_request' }],
      [{ ...request, settings: { ...settings, repeats: 17 } }, { code: 'bad_request' }],
      [
        { ...request, grow: [{ ...solar, method: { name: 'solar', overlap: 11 } }] },
        { code: 'bad_request' },
      ],
      [
        { ...request, settings: { ...settings, texts: [{ text: '0'.repeat(16) }] } },
        { code: 'not_found' },
      ],
      [
        { ...request, settings: { ...settings, evalText: { path: join(home, 'none.txt') } } },
        { code: 'not_found', context: { file: join(home, 'none.txt') } },
      ],
    ]
    for (const [given, error] of wrong) {
      await expect(trainings.start(given)).rejects.toMatchObject(error)
    }
    await runs.deleteModel(settings.runs[0] ?? '')
    await expect(trainings.start(request)).rejects.toMatchObject({ code: 'not_found' })
    expect(program.jobs).toHaveLength(jobs)
    expect(await readdir(folder)).not.toContain('trainings')
    expect(trainings.summaries()).toEqual([])
  })

  it('that cannot be queued leaves nothing', async () => {
    const { trainings, program, request, folder } = await grown()
    program.services.jobs.start = () => {
      throw new Error('the queue is full')
    }
    await expect(trainings.start(request)).rejects.toThrow('the queue is full')
    expect(trainings.summaries()).toEqual([])
    expect(await readdir(join(folder, 'trainings'))).toEqual([])
  })
})

describe('an estimate', () => {
  it('takes a model that is not grown yet to be like one that is', async () => {
    const parts = await grown()
    const { trainings, runs, request, run, text, folder } = parts
    const spec = await trainings.specFor({ ...request, grow: [solar] })
    const path = runs.modelOf(run)
    expect(spec.models).toEqual([
      { path, name: run },
      { path, name: 'start 1' },
    ])
    expect(spec.texts).toEqual([join(folder, 'texts', `${text.id}.txt`)])
    expect(await readdir(folder)).not.toContain('trainings')
    await expect(
      trainings.specFor({ ...request, settings: { ...request.settings, runs: [] }, grow: [solar] }),
    ).rejects.toMatchObject({ code: 'bad_request', context: { field: 'runs' } })
  })
})

describe('a training that has succeeded', () => {
  async function trained() {
    const parts = await grown()
    await writeFile(join(parts.runs.get(parts.run).folder, 'analysis.json'), '{}')
    const training = await parts.trainings.start(parts.request)
    await mkdir(join(parts.trainings.get(training.id).folder, 'work'))
    const { spec } = latest(parts)
    parts.program.end('succeeded', await train(spec), 500)
    await parts.settle()
    return { ...parts, id: training.id, training }
  }

  it('makes a run of each model, and keeps its result and nothing else', async () => {
    const { trainings, runs, id, run, folder } = await trained()
    const { result } = trainings.summary(id)
    expect(result).toMatchObject({
      base: { eval: 3, forgetting: null },
      tokens_per_step: 64,
      starts: [
        {
          run,
          trained: '002-solar',
          loss: { first: 4, last: 4 },
          eval: { first: 4, last: 3.5 },
          forgetting: null,
        },
      ],
    })
    expect(await readdir(join(folder, 'trainings', id))).toEqual(['result.json', 'training.json'])
    const made = runs.summary('002-solar')
    expect(made).toMatchObject({
      name: 'SOLAR, 1 step',
      method: 'solar',
      state: 'succeeded',
      settings: solar,
      newLayers: runs.summary(run).newLayers,
      result: { kind: 'expand', method: 'solar', bytes: 7, shards: 1 },
      training: { training: id, trainingName: 'Training', run, runName: 'SOLAR', seconds: 0.5 },
      model: { path: join(folder, 'runs', '002-solar', 'model'), bytes: 7 },
    })
    expect(made.training?.records).toHaveLength(1)
    expect(await readFile(join(made.model?.path ?? '', 'model.safetensors'), 'utf8')).toBe(
      'trained',
    )
    await expect(runs.retry('002-solar')).rejects.toMatchObject({ code: 'bad_request' })
    await expect(trainings.resume(id)).rejects.toMatchObject({ code: 'bad_request' })
  })

  it('has the layers of its runs measured anew', async () => {
    const { program, runs, settle, folder } = await trained()
    const job = program.jobs.at(-1)
    const own = join(folder, 'runs', '002-solar')
    expect(job?.snapshot.spec).toEqual({
      kind: 'analyse',
      model: join(own, 'model'),
      before: join(own, 'analysis-before.json'),
    })
    expect(runs.summary('002-solar').hasAnalysis).toBe(false)
    await writeFile(join(own, 'analysis.json'), '{}')
    program.end('succeeded', { kind: 'analyse', seconds: 1 })
    await settle()
    await expect.poll(() => runs.summary('002-solar').hasAnalysis).toBe(true)
    expect(await readdir(own)).not.toContain('analysis-before.json')
  })

  it('and its runs go their own ways', async () => {
    const { trainings, runs, program, id, run, settle, request } = await trained()
    program.end('cancelled')
    await runs.delete('002-solar')
    expect(trainings.summary(id).result?.starts).toMatchObject([{ run, trained: null }])
    await runs.delete(run)
    expect(trainings.summary(id).starts).toMatchObject([{ run, name: 'SOLAR', exists: false }])
    // A number is not given twice: what names a run that is gone names no other.
    expect(await runs.start(solar, undefined)).toMatchObject({ id: '003-solar' })
    program.end('succeeded', await grow(runs.get('003-solar').folder))
    await settle()
    await trainings.delete(id)
    expect(trainings.summaries()).toEqual([])
    const settings = { ...request.settings, runs: ['003-solar'] }
    expect(await trainings.start({ ...request, settings })).toMatchObject({ id: '002-training' })
  })

  it('whose program ended before its runs were made makes them when it is opened', async () => {
    const parts = await trained()
    const { id, run, folder, runs, trainings } = parts
    const [training, own] = [trainings.get(id).folder, runs.get('002-solar').folder]
    // As if it had ended before the model was moved: the run's folder is begun.
    const begun = join(training, 'runs', run)
    await mkdir(begun, { recursive: true })
    await writeFile(join(begun, 'run.json'), '{"half')
    await mkdir(join(training, 'models'))
    await rename(join(own, 'model'), join(training, 'models', run))
    await rm(own, { recursive: true })
    const first = await reopened(parts)
    expect(first.runs.summary('002-solar')).toMatchObject({ training: { run } })
    expect(first.trainings.summary(id).result?.starts).toMatchObject([{ trained: '002-solar' }])
    // And after it was moved.
    await mkdir(join(training, 'runs'))
    await rename(join(folder, 'runs', '002-solar'), begun)
    const second = await reopened(parts)
    expect(second.runs.summary('002-solar').model).not.toBeNull()
    expect(await readdir(training)).toEqual(['result.json', 'training.json'])
    expect(parts.record.problems).toEqual([])
  })

  it('whose model tells nothing of a training says so, and keeps it', async () => {
    const parts = await grown()
    const { id } = await parts.trainings.start(parts.request)
    const { spec } = latest(parts)
    const result = await train(spec)
    await writeFile(join(spec.out, 'lesa.json'), '{"training": "?"}')
    parts.program.end('succeeded', result)
    await parts.settle()
    expect(parts.record.problems).toMatchObject([
      { message: expect.stringContaining('does not tell how') as string },
    ])
    expect((await stat(join(spec.out, 'model.safetensors'))).size).toBe(7)
    expect(parts.trainings.summary(id)).toMatchObject({ state: 'succeeded' })
    expect(parts.trainings.workBytes).toBeGreaterThan(0)
  })
})

describe('a training that was stopped', () => {
  it('goes on with its own copy of the texts', async () => {
    const parts = await grown()
    const { trainings, texts, program, request, text, folder, settle } = parts
    const { id } = await trainings.start(request)
    await mkdir(join(folder, 'trainings', id, 'work'))
    await writeFile(join(folder, 'trainings', id, 'work', 'state'), '12345')
    await expect(trainings.resume(id)).rejects.toMatchObject({ code: 'bad_request' })
    program.end('paused')
    await settle()
    expect(trainings.summary(id)).toMatchObject({ state: 'paused', canResume: true, workBytes: 5 })
    const { spec } = latest(parts)
    await texts.remove(text.id)
    expect(await trainings.resume(id)).toMatchObject({ state: 'queued' })
    expect(latest(parts).spec).toEqual(spec)
    expect(await readFile(spec.texts[0] ?? '', 'utf8')).toBe('{"text": "a"}')
  })

  it('because the program ended is interrupted', async () => {
    const parts = await grown()
    const { id } = await parts.trainings.start(parts.request)
    parts.program.tell({ type: 'metric', series: 'loss/0/001-solar', x: [1, 2], y: [4, NaN] })
    await parts.settle()
    const { trainings } = await reopened(parts)
    expect(trainings.summary(id)).toMatchObject({ state: 'interrupted', job: null, waitsFor: [] })
    expect(await trainings.series(id, 10)).toMatchObject({
      series: { 'loss/0/001-solar': { x: [1, 2], y: [4, NaN], isSampled: false } },
    })
    expect(await trainings.resume(id)).toMatchObject({ state: 'queued' })
  })

  it('does not go on with another base model', async () => {
    const { trainings, record, program, request, settle } = await grown()
    const { id } = await trainings.start(request)
    program.end('failed')
    await settle()
    await record.change({ model: { ...record.file.model, ...identityOf('b') } })
    expect(trainings.summary(id).isOfThisModel).toBe(false)
    await expect(trainings.resume(id)).rejects.toMatchObject({ code: 'bad_request' })
  })

  it('can be robbed of its work, and goes on from its beginning then', async () => {
    const parts = await grown()
    const { trainings, program, request, folder, settle } = parts
    const { id } = await trainings.start(request)
    await mkdir(join(folder, 'trainings', id, 'work'))
    program.end('cancelled')
    await settle()
    await trainings.clearWork()
    expect(trainings.summary(id)).toMatchObject({ canResume: false, workBytes: 0 })
    expect(await trainings.resume(id)).toMatchObject({ state: 'queued' })
    expect(await readFile(latest(parts).spec.texts[0] ?? '', 'utf8')).toBe('{"text": "a"}')
  })
})

describe('a training whose job is open', () => {
  it('is not deleted, and neither are its runs', async () => {
    const { trainings, runs, program, request, run, settle } = await grown()
    const { id } = await trainings.start(request)
    await expect(trainings.delete(id)).rejects.toMatchObject({ code: 'bad_request' })
    for (const action of ['retry', 'delete', 'deleteModel'] as const) {
      await expect(runs[action](run)).rejects.toMatchObject({ code: 'bad_request' })
    }
    await trainings.rename(id, 'Mine')
    expect(trainings.summary(id).name).toBe('Mine')
    program.end('cancelled')
    await settle()
    await trainings.delete(id)
    expect(() => trainings.get(id)).toThrow(expect.objectContaining({ code: 'not_found' }))
  })
})

describe('a training that cannot be read', () => {
  it('is a problem, and left where it is', async () => {
    const parts = await grown()
    const { id } = await parts.trainings.start(parts.request)
    await parts.settle()
    const file = join(parts.folder, 'trainings', id, 'training.json')
    await writeFile(file, '{"schema_version": 1}')
    const { trainings } = await reopened(parts)
    expect(trainings.summaries()).toEqual([])
    expect(parts.record.problems).toMatchObject([
      {
        file: `trainings/${id}`,
        setAside: 'training.json.damaged-1',
        message: expect.stringContaining('the training cannot be shown') as string,
      },
    ])
  })
})
