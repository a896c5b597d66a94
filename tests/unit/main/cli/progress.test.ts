import { describe, expect, it } from 'vitest'
import type { EvaluateSpec, JobEvent } from '@shared/jobs'
import { Progress } from '../../../../src/main/cli/progress'
import { fakeIo, type FakeIo } from './fakeIo'

const spec: EvaluateSpec = {
  kind: 'evaluate',
  models: ['m'],
  text: 't',
  perLine: false,
  device: 'cpu',
}

const plan: JobEvent = {
  type: 'plan',
  steps: [
    { id: 'train/q_proj', label: 'train q_proj', weight: 1 },
    { id: 'write', label: 'write', weight: 1 },
  ],
}

/** Trains for `count` events, `stepMs` apart, then writes in one. */
function play(io: FakeIo, count: number, stepMs: number): Progress {
  let now = 1_000
  const progress = new Progress(io, spec, () => now)
  progress.onEvent(plan)
  for (let done = 1; done <= count; done += 1) {
    now += stepMs
    progress.onEvent({ type: 'metric', series: 'loss/q_proj', x: [done], y: [1 / done] })
    progress.onEvent({ type: 'step', id: 'train/q_proj', done, total: count })
  }
  now += stepMs
  progress.onEvent({ type: 'step', id: 'write', done: 1, total: 1 })
  return progress
}

describe('Progress without a terminal', () => {
  it('writes one line for each finished step when all goes fast', () => {
    const io = fakeIo()
    play(io, 1_000, 5)
    expect(io.stderr.text.split('\n')).toEqual([
      '[ 50 %] train q_proj  done  loss 0.001000  ETA 5.0 s',
      '[ 99 %] write  done',
      '',
    ])
  })

  it('says something now and then while a step goes on', () => {
    const io = fakeIo()
    play(io, 1_000, 100)
    const lines = io.stderr.text.trimEnd().split('\n')
    // 100 seconds at one line every ten, and the two that end a step.
    expect(lines.length).toBeGreaterThan(5)
    expect(lines.length).toBeLessThan(14)
    expect(lines[0]).toBe('[  5 %] train q_proj  100/1000  loss 0.01000  ETA 3 min 10 s')
  })

  it('tells the speed of a training, of what this run has done alone', () => {
    const io = fakeIo()
    let now = 0
    const progress = new Progress(io, spec, () => now)
    progress.onEvent({
      type: 'plan',
      steps: [
        { id: 'train', label: 'train grown', weight: 9 },
        { id: 'write', label: 'write', weight: 1 },
      ],
    })
    progress.onEvent({ type: 'metric', series: 'tokens-per-step', x: [0], y: [1536] })
    // Kept from an earlier run.
    const kept = Array.from({ length: 40 }, (_, index) => index + 1)
    progress.onEvent({ type: 'metric', series: 'loss/0/grown', x: kept, y: kept })
    for (let step = 41; step <= 100; step += 1) {
      now += 500
      progress.onEvent({ type: 'metric', series: 'loss/0/grown', x: [step], y: [4] })
      // An evaluation, which takes time that is not the training's.
      now += 300
      progress.onEvent({ type: 'metric', series: 'eval/0/grown', x: [step], y: [4] })
      progress.onEvent({ type: 'step', id: 'train', done: step, total: 100 })
    }
    progress.onEvent({ type: 'step', id: 'write', done: 1, total: 1 })
    const lines = io.stderr.text.trimEnd().split('\n')
    expect(lines[0]).toMatch(/^\[.*\] train grown {2}53\/100 {2}loss 4\.000 {2}3\.07 k tokens\/s/)
    expect(lines.at(-2)).toMatch(/train grown {2}done {2}loss 4\.000 {2}3\.07 k tokens\/s/)
    expect(lines.at(-1)).not.toContain('tokens/s')
  })

  it('has no control characters, not even those of a file name', () => {
    const io = fakeIo()
    const progress = play(io, 10, 5_000)
    progress.onEvent({ type: 'artifact', path: '/a\u001b[2J\r\u0007b', sizeBytes: 2_000_000 })
    expect(io.stderr.text).not.toMatch(/[^\P{Cc}\n]/u)
    expect(io.stderr.text).toContain('(2.00 MB)')
  })

  it('prints a warning once and tells which were printed', () => {
    const io = fakeIo()
    const progress = new Progress(io, spec, () => 0)
    const warning: JobEvent = { type: 'log', level: 'warning', text: 'few steps' }
    progress.onEvent(warning)
    progress.onEvent(warning)
    progress.onEvent({ type: 'log', level: 'info', text: 'fine' })
    expect(io.stderr.text).toBe('warning: few steps\nfine\n')
    expect([...progress.warned]).toEqual(['few steps'])
  })

  it('says which device was taken and why', () => {
    const io = fakeIo()
    new Progress(io, spec).onEvent({
      type: 'device',
      decision: { device: 'cpu', reason: 'no GPU was found' },
    })
    expect(io.stderr.text).toBe('device: cpu (no GPU was found)\n')
  })

  it('treats a dumb terminal as none', () => {
    const io = fakeIo({ isTTY: true, env: { TERM: 'dumb' } })
    play(io, 10, 100)
    expect(io.stderr.text).not.toMatch(/[^\P{Cc}\n]/u)
  })
})

describe('Progress on a terminal', () => {
  it('redraws one line at most ten times a second', () => {
    const io = fakeIo({ isTTY: true })
    play(io, 1_000, 10)
    // Ten seconds.
    const drawn = io.stderr.chunks.filter((chunk) => chunk.startsWith('\r\u001b[K['))
    expect(drawn.length).toBeGreaterThan(90)
    expect(drawn.length).toBeLessThanOrEqual(102)
    expect(io.stderr.text).not.toContain('\n')
  })

  it.each([20, 40, 80, 200])('never fills a row of %i columns', (columns) => {
    const io = fakeIo({ isTTY: true, columns })
    play(io, 100, 200)
    const lines = io.stderr.text.replaceAll(/\u001b\[\d*[mK]/g, '').split('\r') // eslint-disable-line no-control-regex
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(columns)
  })

  it('clears its line before anything else is printed', () => {
    const io = fakeIo({ isTTY: true, env: { NO_COLOR: '1' } })
    const progress = play(io, 10, 200)
    io.stderr.chunks.length = 0
    progress.warn('careful')
    progress.close()
    expect(io.stderr.text).toBe('\r\u001b[Kwarning: careful\n')
  })

  it('colours only where colours are wanted', () => {
    const coloured = fakeIo({ isTTY: true })
    play(coloured, 10, 200)
    expect(coloured.stderr.text).toContain('\u001b[36m')
    const plain = fakeIo({ isTTY: true, env: { NO_COLOR: '1' } })
    play(plain, 10, 200)
    expect(plain.stderr.text).not.toMatch(/\u001b\[\d+m/) // eslint-disable-line no-control-regex
  })
})
