import {
  foldChange,
  foldUpdate,
  newJob,
  queueChange,
  SNAPSHOT_LIMITS,
  type JobChange,
  type JobEvent,
  type JobSnapshot,
  type JobUpdate,
} from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { expandSpec } from '../../../support/specs'

const at = (event: JobEvent): JobChange => ({ ...event, at: 7 })

const fold = (events: readonly JobEvent[], from = newJob('a', expandSpec(), 0)): JobSnapshot =>
  events.map(at).reduce(foldChange, from)

const plan: JobEvent = {
  type: 'plan',
  steps: [
    { id: 'read', label: 'Read', weight: 1 },
    { id: 'train', label: 'Train', weight: 3 },
  ],
}

describe('foldChange', () => {
  it('weighs the steps', () => {
    const snapshot = fold([
      plan,
      { type: 'step', id: 'read', done: 1, total: 1 },
      { type: 'step', id: 'train', done: 2, total: 6 },
    ])
    expect(snapshot.progress).toBeCloseTo(0.5, 12)
    expect(snapshot.steps[1]).toMatchObject({ done: 2, total: 6, label: 'Train' })
  })

  it('never lets progress go back, whatever a step or a new plan says', () => {
    const half = fold([plan, { type: 'step', id: 'train', done: 4, total: 6 }])
    const later = fold([{ type: 'step', id: 'train', done: 1, total: 60 }, plan], half)
    expect(later.progress).toBe(half.progress)
    expect(later.progress).toBeCloseTo(0.5, 12)
  })

  it('counts a step without a total as not begun, and one beyond it as done', () => {
    expect(fold([plan, { type: 'step', id: 'train', done: 5, total: 0 }]).progress).toBe(0)
    expect(fold([plan, { type: 'step', id: 'read', done: 9, total: 2 }]).progress).toBe(0.25)
  })

  it('reaches the end only with the result', () => {
    const all = fold([
      plan,
      { type: 'step', id: 'read', done: 1, total: 1 },
      { type: 'step', id: 'train', done: 1, total: 1 },
    ])
    expect(all.progress).toBeLessThan(1)
    const result = { kind: 'evaluate', results: [] } as const
    expect(foldChange(all, { type: 'state', state: 'succeeded', result, at: 9 })).toMatchObject({
      progress: 1,
      state: 'succeeded',
      endedAt: 9,
      result,
    })
  })

  it('keeps the whole course of a series, thinned, and the latest log lines', () => {
    const metrics = Array.from({ length: 120 }, (_, batch): JobEvent => {
      const x = Array.from({ length: 100 }, (_, i) => batch * 100 + i)
      return { type: 'metric', series: 'loss/q_proj', x, y: x.map((value) => value % 777) }
    })
    const { x, y } = fold(metrics).series['loss/q_proj'] ?? { x: [], y: [] }
    expect(x.length).toBeLessThanOrEqual(SNAPSHOT_LIMITS.points)
    expect(x.length).toBeGreaterThan(SNAPSHOT_LIMITS.points / 4)
    expect([x[0], x.at(-1), y.at(-1)]).toEqual([0, 11_999, 11_999 % 777])
    expect([Math.min(...y), Math.max(...y)]).toEqual([0, 776])

    const lines = Array.from({ length: SNAPSHOT_LIMITS.log + 5 }, (_, i): JobEvent => {
      return { type: 'log', level: 'info', text: i === 504 ? 'x'.repeat(9_000) : String(i) }
    })
    const { log } = fold(lines)
    expect(log).toHaveLength(SNAPSHOT_LIMITS.log)
    expect(log[0]?.text).toBe('5')
    expect(log.at(-1)?.text).toHaveLength(SNAPSHOT_LIMITS.logText)
  })

  it('bounds the number of series and is not fooled by their names', () => {
    const others = Array.from({ length: SNAPSHOT_LIMITS.series }, (_, i) => `s${i}`)
    const names = ['__proto__', 'constructor', ...others]
    const { series } = fold(
      names.map((name): JobEvent => ({ type: 'metric', series: name, x: [1], y: [2] })),
    )
    expect(Object.keys(series)).toHaveLength(SNAPSHOT_LIMITS.series)
    expect(Object.hasOwn(series, '__proto__')).toBe(true)
    expect(series['constructor']).toEqual({ x: [1], y: [2] })
  })

  it('joins the pieces of each text, within bounds', () => {
    const text = (stream: string, piece: string): JobEvent => ({
      type: 'text',
      stream,
      text: piece,
    })
    const pieces = [text('text/0', 'Ada'), text('text/1', 'Leo'), text('text/0', ' was')]
    expect(fold(pieces).texts).toEqual({ 'text/0': 'Ada was', 'text/1': 'Leo' })
    // As few changes as fold to the same.
    const queued = pieces.map(at).reduce(queueChange, [])
    expect(queued).toHaveLength(2)
    expect(queued.reduce(foldChange, fold([])).texts).toEqual(fold(pieces).texts)
    const long = fold([text('a', 'x'.repeat(SNAPSHOT_LIMITS.text)), text('a', 'y')])
    expect(long.texts?.['a']).toHaveLength(SNAPSHOT_LIMITS.text)
    const many = Array.from({ length: SNAPSHOT_LIMITS.texts + 5 }, (_, at) => text(`${at}`, 'x'))
    expect(Object.keys(fold([...many, text('0', 'y')]).texts ?? {})).toHaveLength(
      SNAPSHOT_LIMITS.texts,
    )
    expect(fold([...many, text('0', 'y')]).texts?.['0']).toBe('xy')
  })

  it('leaves the snapshot that it was given as it was', () => {
    const before = fold([plan])
    const copy = structuredClone(before)
    fold([{ type: 'step', id: 'read', done: 1, total: 1 }], before)
    expect(before).toEqual(copy)
  })
})

describe('foldUpdate', () => {
  const update = (seq: number, ...events: JobEvent[]): JobUpdate => ({
    job: 'a',
    seq,
    events: events.map(at),
  })
  const job = newJob('a', expandSpec(), 0)
  const log = (text: string): JobEvent => ({ type: 'log', level: 'info', text })

  it('takes a new job, and goes on from it', () => {
    const known = foldUpdate(undefined, { ...update(0), snapshot: job })
    expect(known).toBe(job)
    const next = foldUpdate(job, update(1, plan, log('begun')))
    expect(next).toMatchObject({ seq: 1, steps: [{ id: 'read' }, {}], log: [{ text: 'begun' }] })
  })

  it('folds nothing twice', () => {
    const known = { ...job, seq: 4 }
    expect(foldUpdate(known, update(4, log('again')))).toBe(known)
    expect(foldUpdate(known, { ...update(0), snapshot: job })).toBe(known)
  })

  it('says when something was missed', () => {
    expect(foldUpdate({ ...job, seq: 4 }, update(6, log('late')))).toBeNull()
    expect(foldUpdate(undefined, update(1, log('late')))).toBeNull()
  })
})

describe('queueChange', () => {
  const metric = (series: string, x: number[]): JobEvent => ({ type: 'metric', series, x, y: x })
  const step = (id: string, done: number, total = 10): JobEvent => ({
    type: 'step',
    id,
    done,
    total,
  })

  it.each<[string, JobEvent[], number]>([
    ['points of a series', [metric('a', [1]), metric('b', [1]), metric('a', [2, 3])], 2],
    ['reports of a step', [step('train', 1), metric('a', [1]), step('train', 2)], 2],
    ['points of a new start', [metric('a', [1, 2]), metric('a', [1]), metric('a', [2])], 2],
    ['reports of a step before and after a plan', [step('train', 3), plan, step('train', 4)], 3],
    ['reports that go back', [step('train', 6), step('train', 1)], 2],
    ['reports with another total', [step('train', 3, 4), step('train', 4, 100)], 2],
    [
      'log lines and artifacts',
      [
        { type: 'log', level: 'info', text: 'a' },
        { type: 'log', level: 'info', text: 'a' },
        { type: 'artifact', path: '/a', sizeBytes: 1 },
      ],
      3,
    ],
  ])('folds to the same with few changes: %s', (_what, events, count) => {
    const before = fold([plan])
    const queued = events.map(at).reduce(queueChange, [])
    expect(queued).toHaveLength(count)
    expect(queued.reduce(foldChange, before)).toEqual(events.map(at).reduce(foldChange, before))
  })
})
