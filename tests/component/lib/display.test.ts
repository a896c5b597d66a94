import { ERROR_CODES } from '@shared/errors'
import { describe, expect, it } from 'vitest'
import { ERROR_TITLES } from '../../../src/renderer/src/lib/errorTitles'
import { formatInteger, formatValue } from '../../../src/renderer/src/lib/numbers'
import { baseName, joinPath } from '../../../src/renderer/src/lib/paths'
import { elapsedMs, remainingMs } from '../../../src/renderer/src/lib/progress'
import { sparkline } from '../../../src/renderer/src/lib/sparkline'
import { snapshot } from '../../support/handlers'

const SIZE = { width: 100, height: 20 }

describe('sparkline', () => {
  it('goes from edge to edge, the largest value at the top', () => {
    expect(sparkline([0, 1, 2], [0, 5, 10], SIZE)).toBe('M0,20L50,10L100,0')
  })

  it('is logarithmic when all values are positive', () => {
    expect(sparkline([0, 1, 2], [1, 10, 100], SIZE)).toBe('M0,20L50,10L100,0')
  })

  it('leaves out what is no number, and needs two that are', () => {
    expect(sparkline([0, 1, 2], [0, null, 10], SIZE)).toBe('M0,20L100,0')
    expect(sparkline([0, 1], [Number.NaN, 3], SIZE)).toBe('')
    expect(sparkline([], [], SIZE)).toBe('')
  })

  it('draws a level line in the middle', () => {
    expect(sparkline([0, 1], [3, 3], SIZE)).toBe('M0,10L100,10')
  })
})

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
