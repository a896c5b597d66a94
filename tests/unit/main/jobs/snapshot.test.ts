import type { JobEvent, JobSnapshot } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import {
  foldEvent,
  newSnapshot,
  SNAPSHOT_LIMITS,
  succeeded,
} from '../../../../src/main/jobs/snapshot'
import { expandSpec } from '../../../support/specs'

const fold = (events: readonly JobEvent[], from = newSnapshot('a', expandSpec(), 0)): JobSnapshot =>
  events.reduce((snapshot, event) => foldEvent(snapshot, event, 7), from)

const plan: JobEvent = {
  type: 'plan',
  steps: [
    { id: 'read', label: 'Read', weight: 1 },
    { id: 'train', label: 'Train', weight: 3 },
  ],
}

describe('foldEvent', () => {
  it('weighs the steps', () => {
    const snapshot = fold([
      plan,
      { type: 'step', id: 'read', done: 1, total: 1 },
      { type: 'step', id: 'train', done: 2, total: 6 },
    ])
    expect(snapshot.progress).toBeCloseTo(0.5, 12)
    expect(snapshot.steps[1]).toMatchObject({ done: 2, total: 6, label: 'Train' })
    expect(snapshot.seq).toBe(3)
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
    expect(succeeded(all, { kind: 'evaluate', results: [] }, 9)).toMatchObject({
      progress: 1,
      state: 'succeeded',
      endedAt: 9,
    })
  })

  it('keeps the latest points and log lines, up to their ceilings', () => {
    const metrics = Array.from({ length: 12 }, (_, batch): JobEvent => {
      const x = Array.from({ length: 100 }, (_, i) => batch * 100 + i)
      return { type: 'metric', series: 'loss/q_proj', x, y: x }
    })
    const { x, y } = fold(metrics).series['loss/q_proj'] ?? { x: [], y: [] }
    expect(x).toHaveLength(SNAPSHOT_LIMITS.points)
    expect([x[0], x.at(-1), y.at(-1)]).toEqual([200, 1199, 1199])

    const lines = Array.from({ length: SNAPSHOT_LIMITS.log + 5 }, (_, i): JobEvent => {
      return { type: 'log', level: 'info', text: i === 504 ? 'x'.repeat(9_000) : String(i) }
    })
    const { log } = fold(lines)
    expect(log).toHaveLength(SNAPSHOT_LIMITS.log)
    expect(log[0]?.text).toBe('5')
    expect(log.at(-1)?.text).toHaveLength(SNAPSHOT_LIMITS.logText)
  })

  it('bounds the number of series and is not fooled by their names', () => {
    const names = ['__proto__', 'constructor', ...Array.from({ length: 80 }, (_, i) => `s${i}`)]
    const { series } = fold(
      names.map((name): JobEvent => ({ type: 'metric', series: name, x: [1], y: [2] })),
    )
    expect(Object.keys(series)).toHaveLength(SNAPSHOT_LIMITS.series)
    expect(Object.hasOwn(series, '__proto__')).toBe(true)
    expect(series['constructor']).toEqual({ x: [1], y: [2] })
  })

  it('leaves the snapshot that it was given as it was', () => {
    const before = fold([plan])
    const copy = structuredClone(before)
    fold([{ type: 'step', id: 'read', done: 1, total: 1 }], before)
    expect(before).toEqual(copy)
  })
})
