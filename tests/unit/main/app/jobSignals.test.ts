import { newJob, type JobSnapshot, type JobUpdate } from '@shared/jobs'
import { describe, expect, test } from 'vitest'
import { signalJobs } from '../../../../src/main/app/jobSignals'
import { told } from '../../../support/handlers'
import { expandSpec } from '../../../support/specs'

function desk(focused = false) {
  const listeners = new Set<(job: JobSnapshot, update: JobUpdate) => void>()
  const jobs: Parameters<typeof signalJobs>[0] = {
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const progress: number[] = []
  const notices: [string, string][] = []
  const stop = signalJobs(jobs, {
    setProgress: (value) => progress.push(value),
    isFocused: () => focused,
    notify: (title, body) => notices.push([title, body]),
  })
  const say = (changes: Partial<JobSnapshot>): void => {
    const job: JobSnapshot = {
      ...newJob('a', expandSpec(), 0),
      state: 'running',
      startedAt: 0,
      ...changes,
    }
    for (const listener of listeners) listener(job, told(job))
  }
  return { progress, notices, say, stop }
}

describe('the taskbar or dock', () => {
  test('shows the running job, of several the one farthest behind, and nothing when all have ended', () => {
    const { progress, say } = desk()
    say({ progress: 0.5 })
    say({ id: 'b', progress: 0.2 })
    say({ id: 'b', state: 'cancelled', progress: 0.3 })
    say({ state: 'succeeded', progress: 1, endedAt: 1000 })
    expect(progress).toEqual([0.5, 0.2, 0.5, -1])
  })
})

describe('a notification', () => {
  test('tells of a long job that ended while the window was elsewhere, once', () => {
    const { notices, say } = desk()
    say({ progress: 0.5 })
    say({ state: 'succeeded', endedAt: 95_000 })
    say({ state: 'succeeded', endedAt: 95_000 })
    expect(notices).toEqual([['Finished: growing the model', 'It took 1 min 35 s.']])
  })

  test('says why a job failed', () => {
    const { notices, say } = desk()
    say({})
    say({
      state: 'failed',
      endedAt: 60_000,
      error: { code: 'device_lost', message: 'The GPU is gone.' },
    })
    expect(notices).toEqual([['Failed: growing the model', 'The GPU is gone.']])
  })

  test.each<[string, boolean, Partial<JobSnapshot>]>([
    ['of a short job', false, { state: 'succeeded', endedAt: 5000 }],
    ['while the window has the focus', true, { state: 'succeeded', endedAt: 95_000 }],
    ['of a job that the person cancelled', false, { state: 'cancelled', endedAt: 95_000 }],
  ])('is not shown %s', (_, focused, end) => {
    const { notices, say } = desk(focused)
    say({})
    say(end)
    expect(notices).toEqual([])
  })

  test('is not shown once nobody listens', () => {
    const { notices, say, stop } = desk()
    say({})
    stop()
    say({ state: 'succeeded', endedAt: 95_000 })
    expect(notices).toEqual([])
  })
})
