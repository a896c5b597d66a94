import { AppError } from '@shared/errors'
import type { JobEvent, JobResult, JobSnapshot, JobSpec } from '@shared/jobs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { JobManager } from '../../../../src/main/jobs/JobManager'
import { evaluateSpec, expandSpec } from '../../../support/specs'

interface Run {
  readonly spec: JobSpec
  readonly signal: AbortSignal
  emit(event: JobEvent): void
  finish(result?: JobResult): Promise<void>
  fail(error: unknown): Promise<void>
}

let runs: Run[]
let seen: JobSnapshot[]
let jobs: JobManager

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 8; turn += 1) await Promise.resolve()
}

beforeEach(() => {
  vi.useFakeTimers()
  runs = []
  seen = []
  jobs = new JobManager(
    (spec, { signal, onEvent }) =>
      new Promise((resolve, reject) => {
        runs.push({
          spec,
          signal,
          emit: onEvent,
          finish: (result = { kind: 'evaluate', results: [] }) => (resolve(result), settle()),
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
          fail: (error) => (reject(error), settle()),
        })
        signal.addEventListener('abort', () => {
          reject(new AppError('cancelled', 'The job was cancelled.'))
        })
      }),
  )
  jobs.subscribe((snapshot) => seen.push(snapshot))
})

afterEach(() => {
  vi.useRealTimers()
})

const out = (name: string): JobSpec => expandSpec({ out: `/models/${name}` })
const log = (text: string): JobEvent => ({ type: 'log', level: 'info', text })

describe('the queue', () => {
  it('runs one job at a time, in order', async () => {
    const [a, b] = [jobs.start(out('a')), jobs.start(out('b'))]
    expect([a.state, b.state]).toEqual(['running', 'queued'])
    expect(runs).toHaveLength(1)
    await runs[0]?.finish()
    expect(jobs.get(a.id).state).toBe('succeeded')
    expect(jobs.get(b.id).state).toBe('running')
    expect(runs[1]?.spec).toEqual(b.spec)
  })

  it('goes on after a failure, which the snapshot tells', async () => {
    const a = jobs.start(out('a'))
    jobs.start(out('b'))
    await runs[0]?.fail(new AppError('not_enough_disk', 'Full.', { hint: 'Make room.' }))
    expect(jobs.get(a.id)).toMatchObject({
      state: 'failed',
      error: { code: 'not_enough_disk', hint: 'Make room.' },
    })
    expect(runs).toHaveLength(2)
  })

  it.each([
    ['the same folder', '/models/grown'],
    ['the same folder, spelled otherwise', '/models/x/../grown/'],
    ['a folder in it', '/models/grown/inner'],
    ['a folder around it', '/models'],
  ])('refuses a second job that writes to %s', async (_what, second) => {
    jobs.start(expandSpec({ model: '/elsewhere/base', out: '/models/grown' }))
    const again = (): JobSnapshot =>
      jobs.start(expandSpec({ model: '/elsewhere/base', out: second }))
    expect(again).toThrow(expect.objectContaining({ code: 'bad_request' }))
    await runs[0]?.finish()
    expect(again().state).toBe('running')
  })

  it.each(['/models/base', '/models/base/grown', '/models', '/'])(
    'refuses to write the model %s over or into itself',
    (bad) => {
      expect(() => jobs.start(expandSpec({ out: bad }))).toThrow(
        expect.objectContaining({ code: 'path_denied' }),
      )
      expect(runs).toHaveLength(0)
    },
  )

  it('does not confuse a sibling with a folder inside', () => {
    expect(jobs.start(expandSpec({ model: '/models/base', out: '/models/base-grown' })).state).toBe(
      'running',
    )
    expect(jobs.start(evaluateSpec()).state).toBe('queued')
  })

  it('forgets the oldest of many finished jobs', async () => {
    const first = jobs.start(evaluateSpec())
    for (let count = 0; count < 105; count += 1) {
      await runs.at(-1)?.finish()
      jobs.start(evaluateSpec())
    }
    expect(jobs.list().length).toBeLessThanOrEqual(101)
    expect(() => jobs.get(first.id)).toThrow(expect.objectContaining({ code: 'not_found' }))
  })
})

describe('cancelling', () => {
  it('shows that it is under way, then that it is done', async () => {
    const { id } = jobs.start(out('a'))
    expect(jobs.cancel(id).state).toBe('cancelling')
    expect(runs[0]?.signal.aborted).toBe(true)
    await settle()
    expect(jobs.get(id).state).toBe('cancelled')
    expect(jobs.get(id)).not.toHaveProperty('error')
    expect(seen.map(({ state }) => state)).toEqual(['queued', 'running', 'cancelling', 'cancelled'])
  })

  it('takes a waiting job out of the queue', async () => {
    jobs.start(out('a'))
    const b = jobs.start(out('b'))
    expect(jobs.cancel(b.id).state).toBe('cancelled')
    await runs[0]?.finish()
    expect(runs).toHaveLength(1)
  })

  it('does nothing to a job that has ended', async () => {
    const { id } = jobs.start(out('a'))
    await runs[0]?.finish()
    const count = seen.length
    expect(jobs.cancel(id).state).toBe('succeeded')
    expect(seen).toHaveLength(count)
  })

  it('of everything, on dispose, starts nothing new', async () => {
    jobs.start(out('a'))
    jobs.start(out('b'))
    await jobs.dispose()
    expect(runs).toHaveLength(1)
    expect(jobs.list().map(({ state }) => state)).toEqual(['interrupted', 'interrupted'])
    expect(() => jobs.start(out('c'))).toThrow(AppError)
  })
})

describe('the order of waiting jobs', () => {
  it('can be changed, and is the order in which they run', async () => {
    jobs.start(out('a'))
    const [b, c, d] = [jobs.start(out('b')), jobs.start(out('c')), jobs.start(out('d'))]
    jobs.moveBefore(d.id, b.id)
    expect(
      jobs
        .moveBefore(b.id, null)
        .map(({ id }) => id)
        .slice(1),
    ).toEqual([d.id, c.id, b.id])
    for (const run of [0, 1, 2]) await runs[run]?.finish()
    expect(runs.map(({ spec }) => spec)).toEqual([out('a'), out('d'), out('c'), out('b')])
  })

  it('is not that of jobs which do not wait', () => {
    const [a, b] = [jobs.start(out('a')), jobs.start(out('b'))]
    expect(() => jobs.moveBefore(a.id, b.id)).toThrow(AppError)
    expect(() => jobs.moveBefore(b.id, a.id)).toThrow(AppError)
    expect(() => jobs.moveBefore('nobody', null)).toThrow(AppError)
    expect(jobs.moveBefore(b.id, b.id).map(({ id }) => id)).toEqual([a.id, b.id])
  })
})

describe('statistics', () => {
  it('do not wait for what takes the device', async () => {
    const statistics = { kind: 'statistics', model: '/models/base', file: '/s.json' } as const
    jobs.start(out('a'))
    const [first, second] = [jobs.start(statistics), jobs.start(statistics)]
    expect([first.state, second.state]).toEqual(['running', 'queued'])
    await runs[1]?.finish()
    expect(jobs.get(second.id).state).toBe('running')
  })
})

describe("a job's observer", () => {
  it('hears of every state and every event, before the listeners', async () => {
    const heard: string[] = []
    jobs.subscribe(({ state }) => heard.push(`listener ${state}`))
    const job = jobs.start(out('a'), {
      owner: { project: '0123456789abcdef', run: '001-lesa' },
      observer: {
        onState: ({ state }) => heard.push(state),
        onEvent: ({ type }) => heard.push(type),
      },
    })
    expect(job.owner).toEqual({ project: '0123456789abcdef', run: '001-lesa' })
    runs[0]?.emit(log('hello'))
    await runs[0]?.finish()
    expect(heard).toEqual([
      'queued',
      'listener queued',
      'running',
      'listener running',
      'log',
      'succeeded',
      'listener succeeded',
    ])
  })

  it('is told that the program ended, unless the job was cancelled before', async () => {
    const states: string[] = []
    const observer = { onState: ({ state }: JobSnapshot): unknown => states.push(state) }
    const job = jobs.start(out('a'), { observer })
    jobs.cancel(job.id)
    await settle()
    jobs.start(out('b'), { observer })
    await jobs.dispose()
    expect(states.filter((state) => state !== 'queued' && state !== 'running')).toEqual([
      'cancelling',
      'cancelled',
      'interrupted',
    ])
  })
})

describe('telling listeners', () => {
  it('happens at most ten times a second, with the latest', () => {
    jobs.start(out('a'))
    seen = []
    for (let ms = 0; ms < 1_000; ms += 1) {
      runs[0]?.emit(log(String(ms)))
      vi.advanceTimersByTime(1)
    }
    expect(seen.length).toBeGreaterThan(5)
    expect(seen.length).toBeLessThanOrEqual(10)
    vi.advanceTimersByTime(1_000)
    expect(seen.at(-1)?.log.at(-1)?.text).toBe('999')
    const seqs = seen.map(({ seq }) => seq)
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
  })

  it('does not wait when the state changes, and says nothing twice', async () => {
    jobs.start(out('a'))
    runs[0]?.emit(log('last'))
    await runs[0]?.finish()
    expect(seen.at(-1)).toMatchObject({ state: 'succeeded', log: [{ text: 'last' }] })
    const count = seen.length
    vi.advanceTimersByTime(1_000)
    expect(seen).toHaveLength(count)
  })

  it('stops when the listener leaves', () => {
    const extra: JobSnapshot[] = []
    const leave = jobs.subscribe((snapshot) => extra.push(snapshot))
    leave()
    jobs.start(out('a'))
    expect(extra).toHaveLength(0)
    expect(seen.length).toBeGreaterThan(0)
  })
})
