import type { JobUpdate } from '@shared/jobs'
import type { RunSeries } from '@shared/projects'
import { flushPromises } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import { useJobsStore } from '../../../src/renderer/src/stores/jobs'
import { useProjectStore } from '../../../src/renderer/src/stores/project'
import { useRunsStore } from '../../../src/renderer/src/stores/runs'
import { activatePinia, FakeTransport, type Answers } from '../../support/fakeTransport'
import { told } from '../../support/handlers'
import { PROJECT_ID, projectView, runJob, runSummary } from '../../support/projects'

const series = (x: number[], y: number[]): RunSeries => ({
  series: { 'loss/q_proj': { x, y, isSampled: false } },
})

const detail = {
  run: runSummary(),
  versions: { engine: '1', onnxruntime: '1', node: '1' },
  spec: runJob().spec as never,
  timings: [],
  log: [],
  series: [],
}

async function setUp(answers: Answers): Promise<{
  runs: ReturnType<typeof useRunsStore>
  transport: FakeTransport
}> {
  const transport = new FakeTransport({
    'projects:get': () => projectView({ runs: [runSummary()] }),
    'runs:get': () => detail,
    'runs:series': () => series([], []),
    'jobs:list': () => [],
    ...answers,
  })
  activatePinia(transport)
  useJobsStore()
  await useProjectStore().load(PROJECT_ID)
  return { runs: useRunsStore(), transport }
}

const metric = (x: number[], y: number[], seq: number, id = 'job-1'): JobUpdate => ({
  job: id,
  seq,
  events: [{ type: 'metric', series: 'loss/q_proj', x, y, at: 1 }],
})

describe('a run that is watched', () => {
  it('has its recorded curve and what its job has added since', async () => {
    const { runs, transport } = await setUp({
      'runs:series': () => {
        // While the answer is on its way: some of this is in it.
        transport.push('jobs:changed', metric([2, 3], [8, 7], 2))
        return series([1, 2], [9, 8])
      },
    })
    transport.push('jobs:changed', told(runJob()))
    await runs.show('001-lesa')
    expect(runs.curves['loss/q_proj']).toMatchObject({ x: [1, 2, 3], y: [9, 8, 7] })
    transport.push('jobs:changed', metric([4], [6], 3))
    expect(runs.curves['loss/q_proj']).toMatchObject({ x: [1, 2, 3, 4], y: [9, 8, 7, 6] })
  })

  it('keeps its curves as they are when nothing is new, so that nothing is drawn again', async () => {
    const { runs, transport } = await setUp({ 'runs:series': () => series([1, 2], [9, 8]) })
    transport.push('jobs:changed', told(runJob()))
    await runs.show('001-lesa')
    const { curves } = runs
    transport.push('jobs:changed', { job: 'job-1', seq: 2, events: [] })
    expect(runs.curves).toBe(curves)
  })

  it('is asked for its curve again when something was missed', async () => {
    let recorded = series([1], [9])
    const { runs, transport } = await setUp({
      'runs:series': () => recorded,
      'jobs:get': () => runJob({ seq: 5 }),
    })
    transport.push('jobs:changed', told(runJob()))
    await runs.show('001-lesa')
    recorded = series([1, 2, 3], [9, 8, 7])
    transport.push('jobs:changed', metric([3], [7], 5))
    transport.push('jobs:changed', metric([4], [6], 6))
    await flushPromises()
    expect(runs.curves['loss/q_proj']).toMatchObject({ x: [1, 2, 3, 4], y: [9, 8, 7, 6] })
  })

  it('is not touched by jobs of other runs, other projects, or its own export', async () => {
    const { runs, transport } = await setUp({})
    await runs.show('001-lesa')
    for (const other of [
      runJob({ id: 'a', owner: { project: PROJECT_ID, run: '002-lesa' } }),
      runJob({ id: 'b', owner: { project: 'f'.repeat(16), run: '001-lesa' } }),
      runJob({ id: 'c', spec: { kind: 'export' } as never }),
    ]) {
      transport.push('jobs:changed', told(other))
      transport.push('jobs:changed', metric([1], [1], 2, other.id))
    }
    expect(runs.curves['loss/q_proj']?.x ?? []).toEqual([])
  })

  it('does not show the answer about another run that was looked at before', async () => {
    let answer: (value: RunSeries) => void = () => undefined
    const { runs } = await setUp({
      'runs:series': (_project, run) =>
        run === '001-lesa'
          ? new Promise<RunSeries>((resolve) => (answer = resolve))
          : series([5], [5]),
    })
    const first = runs.show('001-lesa')
    await runs.show('002-solar')
    answer(series([1], [1]))
    await first
    expect(runs.curves['loss/q_proj']?.x).toEqual([5])
  })

  it('is asked for again when its job has ended', async () => {
    const { runs, transport } = await setUp({})
    await runs.show('001-lesa')
    const count = (): number => transport.calls.filter(({ name }) => name === 'runs:get').length
    const before = count()
    transport.push('jobs:changed', told(runJob({ seq: 9, state: 'succeeded', endedAt: 5 })))
    await flushPromises()
    expect(count()).toBe(before + 1)
  })

  it('of another project is another run, though it is called the same', async () => {
    const other = 'f'.repeat(16)
    const { runs } = await setUp({
      'projects:get': (id) => projectView({ id, runs: id === PROJECT_ID ? [runSummary()] : [] }),
      'runs:series': () => series([1], [1]),
    })
    await runs.show('001-lesa')
    expect(runs.find('001-lesa')).not.toBeNull()
    await useProjectStore().load(other)
    expect(runs.find('001-lesa')).toBeNull()
    const showing = runs.show('001-lesa')
    expect([runs.curves, runs.detail]).toEqual([{}, null])
    await showing
  })
})

describe('the queue', () => {
  const waiting = (id: string, createdAt: number): ReturnType<typeof runJob> =>
    runJob({ id, createdAt, state: 'queued' })

  it('stands in the order in which the program will run it', async () => {
    const { runs, transport } = await setUp({
      'jobs:list': () => [waiting('b', 2), waiting('a', 1)],
    })
    transport.push('jobs:changed', told(waiting('a', 1)))
    transport.push('jobs:changed', told(waiting('b', 2)))
    await flushPromises()
    expect(runs.queued.map(({ id }) => id)).toEqual(['b', 'a'])
  })

  it.each([
    ['up', 'c', -1, ['c', 'b']],
    ['down', 'a', 1, ['a', 'c']],
    ['down to the end', 'b', 1, ['b', null]],
  ] as const)('moves a job %s before the right one', async (_way, id, by, args) => {
    const list = [waiting('a', 1), waiting('b', 2), waiting('c', 3)]
    const { runs, transport } = await setUp({
      'jobs:list': () => list,
      'jobs:moveBefore': () => [...list].reverse(),
    })
    for (const job of list) transport.push('jobs:changed', told(job))
    await flushPromises()
    await runs.move(id, by)
    expect(transport.calls.find(({ name }) => name === 'jobs:moveBefore')?.args).toEqual(args)
    expect(runs.queued.map((job) => job.id)).toEqual(['c', 'b', 'a'])
  })

  it('does not move the first up or the last down', async () => {
    const list = [waiting('a', 1), waiting('b', 2)]
    const { runs, transport } = await setUp({ 'jobs:list': () => list })
    for (const job of list) transport.push('jobs:changed', told(job))
    await flushPromises()
    await runs.move('a', -1)
    await runs.move('b', 1)
    expect(transport.calls.some(({ name }) => name === 'jobs:moveBefore')).toBe(false)
  })
})
