import { AppError } from '@shared/errors'
import {
  foldUpdate,
  isOver,
  type JobEvent,
  type JobOutcome,
  type JobSnapshot,
  type JobSpec,
  type JobUpdate,
} from '@shared/jobs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { JobManager } from '../../../../src/main/jobs/JobManager'
import { evaluateSpec, expandSpec, pretrainSpec } from '../../../support/specs'

interface Run {
  readonly spec: JobSpec
  readonly signal: AbortSignal
  readonly pauses: AbortSignal
  emit(event: JobEvent): void
  /** Ends the job and resolves when the queue has taken note. */
  end(outcome?: JobOutcome): Promise<void>
}

let runs: Run[]
let seen: JobSnapshot[]
let updates: JobUpdate[]
let jobs: JobManager

const DONE: JobOutcome = { state: 'succeeded', result: { kind: 'evaluate', results: [] } }

/** Resolves when a job has ended, at once when it has. */
function ended(id: string): Promise<void> {
  if (seen.some((job) => job.id === id && isOver(job))) return Promise.resolve()
  return new Promise((resolve) => {
    const leave = jobs.subscribe((job) => {
      if (job.id !== id || !isOver(job)) return
      leave()
      // What follows an end, the next job's start, happens in the turn that ends it.
      setImmediate(resolve)
    })
  })
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  runs = []
  seen = []
  updates = []
  jobs = new JobManager(
    (spec, { jobId, signal, pauses, onEvent }) =>
      new Promise((resolve) => {
        runs.push({
          spec,
          signal,
          pauses,
          emit: onEvent,
          end: (outcome = DONE) => {
            resolve(outcome)
            return ended(jobId)
          },
        })
        signal.addEventListener('abort', () => resolve({ state: 'cancelled' }))
      }),
  )
  jobs.subscribe((job, update) => {
    seen.push(job)
    updates.push(update)
  })
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
    await runs[0]?.end()
    expect(jobs.get(a.id).state).toBe('succeeded')
    expect(jobs.get(b.id).state).toBe('running')
    expect(runs[1]?.spec).toEqual(b.spec)
  })

  it('goes on after a failure, which the snapshot tells', async () => {
    const a = jobs.start(out('a'))
    jobs.start(out('b'))
    await runs[0]?.end({
      state: 'failed',
      error: { code: 'not_enough_disk', message: 'Full.', hint: 'Make room.' },
    })
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
    await runs[0]?.end()
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
      await runs.at(-1)?.end()
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
    await ended(id)
    expect(jobs.get(id).state).toBe('cancelled')
    expect(jobs.get(id)).not.toHaveProperty('error')
    expect(seen.map(({ state }) => state)).toEqual(['queued', 'running', 'cancelling', 'cancelled'])
  })

  it('takes a waiting job out of the queue', async () => {
    jobs.start(out('a'))
    const b = jobs.start(out('b'))
    expect(jobs.cancel(b.id).state).toBe('cancelled')
    await runs[0]?.end()
    expect(runs).toHaveLength(1)
  })

  it('to pause waits until all that was computed is kept', async () => {
    const { id } = jobs.start(out('a'), { workDir: '/work' })
    const reach = (step: string, done: number): void =>
      runs[0]?.emit({ type: 'step', id: step, done, total: 2 })
    reach('q_proj/train', 1)
    expect(jobs.pause(id).state).toBe('pausing')
    expect(jobs.pause(id).state).toBe('pausing')
    reach('q_proj/train', 2)
    reach('q_proj/predict', 1)
    reach('q_proj/predict', 2)
    expect(runs[0]?.signal.aborted).toBe(false)
    reach('k_proj/decompose', 0)
    expect(runs[0]?.signal.aborted).toBe(true)
    await ended(id)
    expect(jobs.get(id).state).toBe('paused')
    expect(jobs.pause(id).state).toBe('paused')
  })

  it.each([
    ['the folder of a run', {}, { workDir: '/work' }],
    ['a folder of its own', { job: '/job' }, {}],
  ])('to pause asks a job that keeps its state itself, in %s', async (_what, changes, extras) => {
    const { id } = jobs.start(pretrainSpec(changes), extras)
    expect(jobs.pause(id).state).toBe('pausing')
    expect(runs[0]?.pauses.aborted).toBe(true)
    expect(runs[0]?.signal.aborted).toBe(false)
    await runs[0]?.end({ state: 'cancelled' })
    expect(jobs.get(id).state).toBe('paused')
  })

  it('a job that has ended before it could pause has ended', async () => {
    const { id } = jobs.start(pretrainSpec(), { workDir: '/work' })
    jobs.pause(id)
    await runs[0]?.end()
    expect(jobs.get(id).state).toBe('succeeded')
  })

  it('a job that pauses ends it at once', async () => {
    const { id } = jobs.start(out('a'), { workDir: '/work' })
    jobs.pause(id)
    expect(jobs.cancel(id).state).toBe('cancelling')
    await ended(id)
    expect(jobs.get(id).state).toBe('cancelled')
  })

  it('to pause is refused by what keeps nothing, and by what waits', () => {
    const running = jobs.start(out('a'))
    const waiting = jobs.start(out('b'), { workDir: '/work' })
    const training = jobs.start(pretrainSpec())
    for (const { id } of [running, waiting, training]) {
      expect(() => jobs.pause(id)).toThrow(expect.objectContaining({ code: 'bad_request' }))
    }
  })

  it('does nothing to a job that has ended', async () => {
    const { id } = jobs.start(out('a'))
    await runs[0]?.end()
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

describe('a job that waits for others', () => {
  it('lets those behind it go before it until its turn may come', async () => {
    let isReady = false
    const a = jobs.start(out('a'))
    const b = jobs.start(out('b'), { mayBegin: () => isReady })
    const c = jobs.start(out('c'))
    await runs[0]?.end()
    expect([a, b, c].map(({ id }) => jobs.get(id).state)).toEqual([
      'succeeded',
      'queued',
      'running',
    ])
    isReady = true
    await runs[1]?.end()
    expect(jobs.get(b.id).state).toBe('running')
    await runs[2]?.end()
    expect(jobs.get(b.id).state).toBe('succeeded')
  })

  it('fails, with why, as soon as it waits in vain', async () => {
    const a = jobs.start(out('a'))
    const b = jobs.start(out('b'))
    const states: string[] = []
    const c = jobs.start(out('c'), {
      mayBegin: () => {
        const { state } = jobs.get(b.id)
        if (state === 'cancelled') throw new AppError('not_found', 'b is missing.')
        return state === 'succeeded'
      },
      observer: { onState: ({ state }) => states.push(state) },
    })
    jobs.cancel(b.id)
    expect(jobs.get(c.id)).toMatchObject({
      state: 'failed',
      error: { code: 'not_found', message: 'b is missing.' },
    })
    expect(states).toEqual(['queued', 'failed'])
    expect(jobs.get(a.id).state).toBe('running')
    await runs[0]?.end()
    expect(runs).toHaveLength(1)
  })

  it('is interrupted when the program ends', async () => {
    const a = jobs.start(out('a'), { mayBegin: () => false })
    await jobs.dispose()
    expect(jobs.get(a.id).state).toBe('interrupted')
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
    for (const run of [0, 1, 2]) await runs[run]?.end()
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
    await runs[1]?.end()
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
    await runs[0]?.end()
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
    await ended(job.id)
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
    await runs[0]?.end()
    expect(seen.at(-1)).toMatchObject({ state: 'succeeded', log: [{ text: 'last' }] })
    const count = seen.length
    vi.advanceTimersByTime(1_000)
    expect(seen).toHaveLength(count)
  })

  it('sends a job once, then only what has happened', () => {
    const { id } = jobs.start(out('a'))
    for (let step = 1; step <= 100; step += 1) {
      runs[0]?.emit({ type: 'metric', series: 'loss/q_proj', x: [step], y: [1 / step] })
      runs[0]?.emit({ type: 'step', id: 'q_proj/train', done: step, total: 100 })
      if (step % 50 === 0) vi.advanceTimersByTime(100)
    }
    expect(updates.map(({ job, seq, snapshot }) => [job, seq, snapshot !== undefined])).toEqual([
      [id, 0, true],
      [id, 1, false],
      [id, 2, false],
      [id, 3, false],
    ])
    expect(updates[2]?.events).toMatchObject([
      { type: 'metric', x: Array.from({ length: 50 }, (_, i) => i + 1) },
      { type: 'step', done: 50 },
    ])
  })

  it('leads whoever folds it, from any point on, to what is known here', async () => {
    const { id } = jobs.start(out('a'))
    runs[0]?.emit({ type: 'plan', steps: [{ id: 'write', label: 'Write', weight: 1 }] })
    runs[0]?.emit({ type: 'step', id: 'write', done: 1, total: 3 })
    // Asked for between two updates: what waits is told first.
    const late = jobs.get(id)
    expect(late).toEqual(jobs.list()[0])
    expect(late).toMatchObject({ seq: 2, progress: 1 / 3 })
    const from = updates.length
    runs[0]?.emit(log('on'))
    vi.advanceTimersByTime(100)
    runs[0]?.emit({ type: 'step', id: 'write', done: 2, total: 3 })
    await runs[0]?.end()
    const fold = (known: JobSnapshot | undefined, update: JobUpdate): JobSnapshot | undefined =>
      foldUpdate(known, update) ?? undefined
    expect(updates.slice(from).reduce(fold, late)).toEqual(jobs.get(id))
    expect(updates.reduce(fold, undefined)).toEqual(jobs.get(id))
    expect(updates.reduce(fold, late)).toEqual(jobs.get(id))
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
