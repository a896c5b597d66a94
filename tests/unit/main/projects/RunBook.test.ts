import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { RunBook } from '../../../../src/main/projects/RunBook'
import { grow, identityOf, projectParts, solar } from '../../../support/projectParts'

const none = undefined

describe('starting a run', () => {
  it('makes its folder and queues its job', async () => {
    const { runs, folder, model, program, settle } = await projectParts()
    program.settings = { ...program.settings, memoryLimitBytes: 5e9 }
    const run = await runs.start(solar, none)
    await settle()
    expect(run).toMatchObject({
      id: '001-solar',
      name: 'SOLAR',
      state: 'queued',
      job: 'job-1',
      layersBefore: 12,
      layersAfter: 18,
    })
    const [job] = program.jobs
    expect(job?.snapshot.spec).toEqual({
      ...solar,
      kind: 'expand',
      recipes: false,
      model,
      out: join(folder, 'runs', '001-solar', 'model'),
      overwrite: true,
      memoryBytes: 5e9,
    })
    expect(job?.extras).toMatchObject({
      owner: { project: expect.stringMatching(/^[0-9a-f]{16}$/) as string, run: '001-solar' },
      workDir: join(folder, 'work'),
      recordDir: join(folder, 'runs', '001-solar'),
    })
    expect(await runs.specFor(solar)).toMatchObject({ model, memoryBytes: 5e9 })
    expect(runs.specOf(runs.get('001-solar'))).not.toHaveProperty('memoryBytes')
  })

  it('gives a name once, and a number beyond that of every folder that is there', async () => {
    const { runs, folder } = await projectParts()
    for (let n = 0; n < 3; n += 1) await runs.start(solar, none)
    expect(runs.summaries().map(({ id, name }) => [id, name])).toEqual([
      ['003-solar', 'SOLAR 3'],
      ['002-solar', 'SOLAR 2'],
      ['001-solar', 'SOLAR'],
    ])
    await mkdir(join(folder, 'runs', '007-by-hand'))
    expect(await runs.start(solar, 'Mine')).toMatchObject({ id: '008-solar', name: 'Mine' })
  })

  it('that cannot be queued leaves nothing', async () => {
    const { runs, folder, program } = await projectParts()
    program.services.jobs.start = () => {
      throw new Error('the queue is full')
    }
    await expect(runs.start(solar, none)).rejects.toThrow('the queue is full')
    expect(runs.summaries()).toEqual([])
    expect(await readdir(join(folder, 'runs'))).toEqual([])
  })

  it('needs the model, and a plan that fits it', async () => {
    const { runs, folder, model, program, base } = await projectParts()
    const unfit = { ...solar, method: { name: 'solar', overlap: 9 } as const }
    await expect(runs.start(unfit, none)).rejects.toMatchObject({ code: 'bad_request' })
    program.models.delete(model)
    await base.check()
    await expect(runs.start(solar, none)).rejects.toMatchObject({ code: 'model_missing' })
    await expect(runs.specFor(solar)).rejects.toMatchObject({ code: 'model_missing' })
    expect(await readdir(folder)).toEqual([])
  })
})

describe('a run', () => {
  it('that has succeeded has a model until that is deleted', async () => {
    const { runs, program, settle } = await projectParts()
    const { id } = await runs.start(solar, none)
    expect(() => runs.modelOf(id)).toThrow(expect.objectContaining({ code: 'not_found' }))
    program.end('succeeded', await grow(runs.get(id).folder))
    await settle()
    expect(runs.modelOf(id)).toBe(join(runs.get(id).folder, 'model'))
    await expect(runs.resume(id)).rejects.toMatchObject({ code: 'bad_request' })
    await runs.deleteModel(id)
    expect(() => runs.modelOf(id)).toThrow(expect.objectContaining({ code: 'not_found' }))
    expect(await readdir(runs.get(id).folder)).not.toContain('model')
  })

  it('that was stopped goes on, one that was not does not', async () => {
    const { runs, program, settle } = await projectParts()
    const { id } = await runs.start(solar, none)
    await expect(runs.resume(id)).rejects.toMatchObject({ code: 'bad_request' })
    program.end('cancelled')
    await settle()
    expect(await runs.resume(id)).toMatchObject({ state: 'queued', job: 'job-2' })
    expect(runs.get(id).file.attempts).toBe(2)
  })

  it('whose job is open is not retried, deleted or robbed of its model', async () => {
    const { runs, program } = await projectParts()
    const { id } = await runs.start(solar, none)
    for (const action of ['retry', 'delete', 'deleteModel'] as const) {
      await expect(runs[action](id)).rejects.toMatchObject({ code: 'bad_request' })
    }
    expect(program.jobs).toHaveLength(1)
  })

  it('that is being measured is not deleted either', async () => {
    const { runs, record, program, settle } = await projectParts()
    const { id } = await runs.start(solar, none)
    program.end('succeeded', await grow(runs.get(id).folder))
    await settle()
    program.services.jobs.start(
      {
        kind: 'evaluate',
        models: [runs.modelOf(id)],
        text: '/t',
        perLine: false,
        device: 'cpu',
      },
      { owner: { project: record.id } },
    )
    await expect(runs.delete(id)).rejects.toMatchObject({ code: 'bad_request' })
    program.end('cancelled')
    await runs.delete(id)
    expect(runs.has(id)).toBe(false)
  })

  it('that is deleted takes with it what was measured of it', async () => {
    const measured = {
      text: '0123456789abcdef',
      context: 128,
      perLine: false,
      perplexity: 2,
      tokens: 3,
      predicted: 2,
      standardError: 0.001,
      losses: null,
      againstBase: null,
      seconds: 1,
      device: 'cpu',
      measuredAt: 0,
    }
    const { runs, record, program, settle, folder } = await projectParts()
    const { id } = await runs.start(solar, none)
    program.end('succeeded', await grow(runs.get(id).folder))
    await settle()
    await record.change({
      perplexities: ['base', id].map((subject) => ({ ...measured, subject })),
    })
    await runs.delete(id)
    expect(record.file.perplexities.map(({ subject }) => subject)).toEqual(['base'])
    expect(await readdir(join(folder, 'runs'))).toEqual([])
  })

  it('that has ended well keeps everything when the same is run again, as a new run', async () => {
    const { runs, program, settle } = await projectParts()
    const { id } = await runs.start(solar, 'Mine')
    program.tell({ type: 'log', level: 'info', text: 'said' })
    program.end('succeeded', await grow(runs.get(id).folder))
    await settle()
    const [before, { log }] = [runs.summary(id), await runs.detail(id)]
    const again = await runs.retry(id)
    expect(again).toMatchObject({ id: '002-solar', name: 'Mine 2', settings: before.settings })
    program.end('failed')
    await settle()
    expect(runs.summary(id)).toEqual(before)
    expect((await runs.detail(id)).log).toEqual(log)
    expect(log.map(({ text }) => text)).toEqual(['said'])
    expect(runs.modelOf(id)).toContain('001-solar')
  })

  it('goes on with its record and its time, however often it is stopped', async () => {
    const { runs, program, settle } = await projectParts()
    const { id } = await runs.start(solar, none)
    program.tell({ type: 'metric', series: 'loss/q_proj', x: [1], y: [2] })
    program.end('cancelled', undefined, 7_000)
    await settle()
    await runs.retry(id)
    program.end('failed', undefined, 5_000)
    await settle()
    await runs.resume(id)
    program.end('succeeded', await grow(runs.get(id).folder), 3_000)
    await settle()
    const { earlierMs, startedAt, endedAt, result } = runs.summary(id)
    expect([earlierMs, (endedAt ?? 0) - (startedAt ?? 0)]).toEqual([12_000, 3_000])
    const job = program.jobs.at(-1)?.snapshot.result
    expect(result?.seconds).toBe(12 + (job?.kind === 'expand' ? job.seconds : NaN))
    expect((await runs.get(id).series(10)).series).toHaveProperty('loss/q_proj')
  })

  it('tells the time of what another run had computed as that other run’s', async () => {
    const { runs, program, settle } = await projectParts()
    const { id } = await runs.start(solar, none)
    const steps = ['q_proj/train', 'k_proj/train'].map((step) => ({
      id: step,
      label: step,
      weight: 1,
    }))
    program.tell({ type: 'plan', steps })
    program.tell({ type: 'step', id: 'q_proj/train', done: 1, total: 1, kept: 95 })
    program.tell({ type: 'step', id: 'k_proj/train', done: 1, total: 1, kept: null })
    expect((await runs.detail(id)).timings).toEqual([
      { id: 'q_proj/train', label: 'q_proj/train', seconds: 95, isKept: true },
      { id: 'k_proj/train', label: 'k_proj/train', seconds: 0, isKept: true },
    ])
    await settle()
  })

  it('of another base model is not gone on with: it becomes a new run', async () => {
    const { runs, record, base, program, settle } = await projectParts()
    const { id } = await runs.start(solar, none)
    program.end('cancelled')
    await settle()
    const other = join(record.folder, 'other')
    program.put(other, identityOf('b'))
    await base.relocate(other, true, undefined)
    await expect(runs.resume(id)).rejects.toMatchObject({ code: 'bad_request' })
    expect(await runs.retry(id)).toMatchObject({ id: '002-solar', isOfThisModel: true })
    expect(runs.summary(id)).toMatchObject({ state: 'cancelled', isOfThisModel: false })
  })

  it('that there is not', async () => {
    const { runs } = await projectParts()
    for (const ask of [() => runs.get('001-x'), () => runs.summary('001-x')]) {
      expect(ask).toThrow(expect.objectContaining({ code: 'not_found' }))
    }
  })
})

describe('runs that are read', () => {
  it('are as they were; one that was open is interrupted, one that cannot be read a problem', async () => {
    const { runs, folder, record, base, program, settle } = await projectParts()
    const first = await runs.start(solar, none)
    program.end('succeeded', await grow(runs.get(first.id).folder))
    await runs.start(solar, 'Second')
    await settle()
    await mkdir(join(folder, 'runs', '003-lesa'))
    await writeFile(join(folder, 'runs', '003-lesa', 'run.json'), 'nothing')
    await mkdir(join(folder, 'runs', 'notes of mine'))
    const again = new RunBook(record, base, program.services)
    await again.load()
    expect(again.summaries().map(({ id, state }) => [id, state])).toEqual([
      ['002-solar', 'interrupted'],
      ['001-solar', 'succeeded'],
    ])
    expect(again.layersBefore).toBe(12)
    expect(record.problems).toMatchObject([
      { file: 'runs/003-lesa', setAside: 'run.json.damaged-1' },
    ])
  })
})

describe('work for later runs', () => {
  const stage = async (folder: string, name: string): Promise<void> => {
    await mkdir(join(folder, 'work', 'stages', name), { recursive: true })
    await writeFile(join(folder, 'work', 'stages', name, 'a'), 'x'.repeat(100))
  }

  it.each([
    ['succeeded', 100],
    ['failed', 200],
  ] as const)('is trimmed after a run that has %s', async (state, left) => {
    const { runs, folder, program, settle } = await projectParts()
    program.settings = { ...program.settings, workLimitBytes: 150 }
    const { id } = await runs.start(solar, none)
    await stage(folder, 'a')
    await stage(folder, 'b')
    program.end(state, state === 'succeeded' ? await grow(runs.get(id).folder) : undefined)
    await settle()
    expect(runs.workBytes).toBe(left)
    await runs.clearWork()
    expect(runs.workBytes).toBe(0)
  })
})
