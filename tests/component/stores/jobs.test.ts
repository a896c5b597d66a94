import { AppError } from '@shared/errors'
import type { JobEvent, JobSnapshot, JobUpdate } from '@shared/jobs'
import { flushPromises } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import { useJobsStore } from '../../../src/renderer/src/stores/jobs'
import { activatePinia, FakeTransport, type Answers } from '../../support/fakeTransport'
import { snapshot, told } from '../../support/handlers'
import { evaluateSpec } from '../../support/specs'

const job = (changes: Partial<JobSnapshot>): JobSnapshot => ({ ...snapshot, ...changes })

function setUp(answers: Answers): {
  store: ReturnType<typeof useJobsStore>
  transport: FakeTransport
} {
  const transport = new FakeTransport(answers)
  activatePinia(transport)
  return { store: useJobsStore(), transport }
}

describe('the jobs', () => {
  it('take the newer of two snapshots, in whatever order they come', () => {
    const { store, transport } = setUp({})
    transport.push('jobs:changed', told(job({ seq: 2, progress: 0.5 })))
    transport.push('jobs:changed', told(job({ seq: 1, progress: 0.1 })))
    expect(store.shown?.progress).toBe(0.5)
    transport.push('jobs:changed', told(job({ seq: 3, progress: 0.6 })))
    expect(store.shown?.progress).toBe(0.6)
  })

  it('are asked for, and those that the program has forgotten go', async () => {
    const { store, transport } = setUp({ 'jobs:list': () => [job({ id: 'b', createdAt: 2 })] })
    transport.push('jobs:changed', told(job({ id: 'a' })))
    await store.load()
    expect(store.all.map(({ id }) => id)).toEqual(['b'])
  })

  it('show the newest until one is chosen', () => {
    const { store, transport } = setUp({})
    transport.push('jobs:changed', told(job({ id: 'a', createdAt: 1 })))
    transport.push('jobs:changed', told(job({ id: 'b', createdAt: 2 })))
    expect(store.all.map(({ id }) => id)).toEqual(['b', 'a'])
    expect(store.shown?.id).toBe('b')
    store.selectedId = 'a'
    expect(store.shown?.id).toBe('a')
  })

  it('show the one that was just started', async () => {
    const { store, transport } = setUp({ 'jobs:start': (spec) => job({ id: 'new', spec }) })
    transport.push('jobs:changed', told(job({ id: 'other', createdAt: 99 })))
    await store.start(evaluateSpec())
    expect(transport.calls).toEqual([{ name: 'jobs:start', args: [evaluateSpec()] }])
    expect(store.shown?.id).toBe('new')
    expect(store.isStarting).toBe(false)
  })

  it('say why one could not be started, until the next try', async () => {
    let fails = true
    const { store } = setUp({
      'jobs:start': () => {
        if (fails) throw new AppError('path_denied', 'Not there.', { hint: 'Elsewhere.' })
        return job({})
      },
    })
    await store.start(evaluateSpec())
    expect(store.error).toMatchObject({ code: 'path_denied', hint: 'Elsewhere.' })
    expect(store.isStarting).toBe(false)
    fails = false
    await store.start(evaluateSpec())
    expect(store.error).toBeNull()
  })

  it('cancel the one that is shown, once it can be', async () => {
    const { store, transport } = setUp({
      'jobs:cancel': (id) => job({ id, seq: 5, state: 'cancelling' }),
    })
    await store.cancelShown()
    expect(transport.calls).toEqual([])
    transport.push('jobs:changed', told(job({ id: 'a', state: 'running' })))
    await store.cancelShown()
    expect(store.shown?.state).toBe('cancelling')
    transport.push('jobs:changed', told(job({ id: 'a', seq: 6, state: 'cancelled', endedAt: 9 })))
    await store.cancelShown()
    expect(transport.calls).toHaveLength(1)
  })
})

describe('what happens to a job', () => {
  const update = (seq: number, ...events: JobEvent[]): JobUpdate => ({
    job: snapshot.id,
    seq,
    events: events.map((event) => ({ ...event, at: seq })),
  })
  const log = (text: string): JobEvent => ({ type: 'log', level: 'info', text })
  const lines = (store: ReturnType<typeof useJobsStore>): string[] =>
    store.shown?.log.map(({ text }) => text) ?? []

  it('is folded as it is told, once', () => {
    const { store, transport } = setUp({})
    transport.push('jobs:changed', told(snapshot))
    transport.push('jobs:changed', update(1, log('one')))
    transport.push('jobs:changed', update(1, log('one')))
    transport.push('jobs:changed', update(2, log('two')))
    expect(lines(store)).toEqual(['one', 'two'])
    expect(transport.calls).toEqual([])
  })

  it('is asked for when some of it was missed, and goes on from the answer', async () => {
    const missed = job({ seq: 3, log: ['one', 'two', 'three'].map((text) => line(text)) })
    const { store, transport } = setUp({
      'jobs:get': async () => {
        // Told while the answer is on its way: one that is in it, one that is not.
        transport.push('jobs:changed', update(4, log('four')))
        return Promise.resolve(missed)
      },
    })
    const followed: (number | null)[] = []
    store.follow((_job, changes) => followed.push(changes && changes.length))
    transport.push('jobs:changed', told(snapshot))
    transport.push('jobs:changed', update(3, log('three')))
    await flushPromises()
    expect(lines(store)).toEqual(['one', 'two', 'three', 'four'])
    expect(transport.calls).toEqual([{ name: 'jobs:get', args: [snapshot.id] }])
    // Whoever follows hears that something is missing, then what came after.
    expect(followed).toEqual([0, null, 1])
  })

  it('is asked for by a window that was opened in the middle', async () => {
    const { store, transport } = setUp({ 'jobs:get': () => job({ seq: 7, progress: 0.7 }) })
    transport.push('jobs:changed', update(7, log('seven')))
    await flushPromises()
    expect(store.shown).toMatchObject({ seq: 7, progress: 0.7, log: [] })
  })

  it('is asked for again if it was missed again meanwhile', async () => {
    let asked = 0
    const { store, transport } = setUp({
      'jobs:get': async () => {
        asked += 1
        if (asked === 1) transport.push('jobs:changed', update(9, log('nine')))
        return Promise.resolve(job({ seq: asked === 1 ? 5 : 9 }))
      },
    })
    transport.push('jobs:changed', update(5, log('five')))
    await flushPromises()
    expect([asked, store.shown?.seq]).toEqual([2, 9])
  })

  it('is left alone when the program does not know the job any more', async () => {
    const { store, transport } = setUp({})
    transport.push('jobs:changed', update(5, log('five')))
    await flushPromises()
    expect(store.all).toEqual([])
    expect(transport.calls).toHaveLength(1)
  })

  function line(text: string): JobSnapshot['log'][number] {
    return { at: 1, level: 'info', text }
  }
})
