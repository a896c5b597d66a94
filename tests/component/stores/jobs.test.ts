import { AppError } from '@shared/errors'
import type { JobSnapshot } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { useJobsStore } from '../../../src/renderer/src/stores/jobs'
import { activatePinia, FakeTransport, type Answers } from '../../support/fakeTransport'
import { snapshot } from '../../support/handlers'
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
    transport.push('jobs:changed', job({ seq: 2, progress: 0.5 }))
    transport.push('jobs:changed', job({ seq: 1, progress: 0.1 }))
    expect(store.shown?.progress).toBe(0.5)
    transport.push('jobs:changed', job({ seq: 3, progress: 0.6 }))
    expect(store.shown?.progress).toBe(0.6)
  })

  it('are asked for, and those that the program has forgotten go', async () => {
    const { store, transport } = setUp({ 'jobs:list': () => [job({ id: 'b', createdAt: 2 })] })
    transport.push('jobs:changed', job({ id: 'a' }))
    await store.load()
    expect(store.all.map(({ id }) => id)).toEqual(['b'])
  })

  it('show the newest until one is chosen', () => {
    const { store, transport } = setUp({})
    transport.push('jobs:changed', job({ id: 'a', createdAt: 1 }))
    transport.push('jobs:changed', job({ id: 'b', createdAt: 2 }))
    expect(store.all.map(({ id }) => id)).toEqual(['b', 'a'])
    expect(store.shown?.id).toBe('b')
    store.selectedId = 'a'
    expect(store.shown?.id).toBe('a')
  })

  it('show the one that was just started', async () => {
    const { store, transport } = setUp({ 'jobs:start': (spec) => job({ id: 'new', spec }) })
    transport.push('jobs:changed', job({ id: 'other', createdAt: 99 }))
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
    transport.push('jobs:changed', job({ id: 'a', state: 'running' }))
    await store.cancelShown()
    expect(store.shown?.state).toBe('cancelling')
    transport.push('jobs:changed', job({ id: 'a', seq: 6, state: 'cancelled', endedAt: 9 }))
    await store.cancelShown()
    expect(transport.calls).toHaveLength(1)
  })
})
