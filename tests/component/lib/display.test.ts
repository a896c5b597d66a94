import { ERROR_CODES } from '@shared/errors'
import { baseName } from '@shared/paths'
import { describe, expect, it } from 'vitest'
import { ERROR_TITLES } from '../../../src/renderer/src/lib/errorTitles'
import { formatInteger, formatValue } from '../../../src/renderer/src/lib/numbers'
import { joinPath } from '../../../src/renderer/src/lib/paths'
import { elapsedMs, remainingMs } from '../../../src/renderer/src/lib/progress'
import { snapshot } from '../../support/handlers'

describe('times', () => {
  const running = { ...snapshot, state: 'running', startedAt: 1_000, progress: 0.25 } as const

  it('run while the job runs, and stop with it', () => {
    expect(elapsedMs(snapshot, 5_000)).toBeNull()
    expect(elapsedMs(running, 5_000)).toBe(4_000)
    expect(elapsedMs({ ...running, endedAt: 3_000 }, 9_000)).toBe(2_000)
    expect(elapsedMs(running, 0)).toBe(0)
  })

  it('are estimated once there is something to go by', () => {
    expect(remainingMs(running, 11_000)).toBe(30_000)
    expect(remainingMs(running, 2_000)).toBeNull()
    expect(remainingMs({ ...running, progress: 0.01 }, 60_000)).toBeNull()
    expect(remainingMs({ ...running, state: 'cancelling' }, 60_000)).toBeNull()
  })

  it('are estimated from what the job has computed, not from what it took up', () => {
    const step = { label: '', done: 1, total: 1 }
    const steps = [
      { ...step, id: 'a', weight: 1, kept: null },
      { ...step, id: 'b', weight: 3 },
    ]
    const resumed = { ...running, progress: 0.5, steps }
    // A quarter was kept: ten seconds made the other quarter, and half is left.
    expect(remainingMs(resumed, 11_000)).toBe(20_000)
    expect(remainingMs({ ...resumed, progress: 0.26 }, 11_000)).toBeNull()
  })
})

describe('text', () => {
  it('keeps three digits of any magnitude', () => {
    expect([0.0192, 0.000813, 1.03, 0, 123_456, Number.NaN, null].map(formatValue)).toEqual([
      '0.0192',
      '8.13e-4',
      '1.03',
      '0.00',
      '1.23e+5',
      '–',
      '–',
    ])
    expect(formatInteger(1_234_567)).toBe('1,234,567')
  })

  it('takes paths of any system apart and puts them together', () => {
    expect(['/a/b', '/a/b/', 'C:\\a\\b', 'b', '/'].map(baseName)).toEqual(['b', 'b', 'b', 'b', '/'])
    expect(joinPath('/', 'a', '/')).toBe('/a')
    expect(joinPath('C:\\a', 'b', '\\')).toBe('C:\\a\\b')
  })

  it('has a title for every error', () => {
    for (const code of ERROR_CODES) expect(ERROR_TITLES[code], code).toMatch(/^\S.*[^.]$/)
  })
})
