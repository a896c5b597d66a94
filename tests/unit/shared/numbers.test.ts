import { formatGaps, parseGaps } from '@shared/methods/gaps'
import { readNumber } from '@shared/numbers'
import { formatRough, formatRoughRange, parseSize } from '@shared/units'
import { describe, expect, it } from 'vitest'
import { decimal, integer, layerRange, size } from '../../../src/main/cli/values'

describe('a typed number', () => {
  it.each([
    ['0,001', 0.001],
    ['0.001', 0.001],
    ['1,5e-3', 0.0015],
    ['5e-5', 5e-5],
    [',5', 0.5],
    ['3.', 3],
    [' 12 ', 12],
    ['−2', -2],
    ['0,500', 0.5],
    ['1.500', 1.5],
    ['12,25', 12.25],
    ['1234,567', 1234.567],
  ])('%j is one with a point or a comma', (text, value) => {
    expect(readNumber(text)).toEqual({ value })
    expect(decimal(text.trim().replace('−', '-'))).toBe(value)
  })

  it.each(['1,500', '1 500', '1’500', '12,345,678', '1.234.567', '10_000', '1\u202f500'])(
    '%j could be two, and is refused',
    (text) => {
      expect(readNumber(text)).toEqual({ problem: 'grouped' })
      expect(() => decimal(text)).toThrow('separator')
      expect(() => integer(text)).toThrow('separator')
    },
  )

  it('is not guessed where only whole numbers are taken', () => {
    expect(readNumber('3.000', true)).toEqual({ problem: 'grouped' })
    expect(readNumber('3000', true)).toEqual({ value: 3000 })
  })

  it.each(['', ' ', 'abc', '1,2,3', '1,,5', '0x10', '1e', 'Infinity', '--1', '1.2.3', '1e999'])(
    '%j is none',
    (text) => {
      expect(readNumber(text)).toEqual({ problem: 'none' })
    },
  )
})

describe('a size', () => {
  it.each([
    ['8,5 GB', 8.5e9],
    ['8.5GB', 8.5e9],
    ['0,5 KiB', 512],
    ['500 MB', 5e8],
    ['42', 42],
  ])('%j is read as the number in it is', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
    expect(size(text)).toBe(bytes)
  })

  it.each(['1,500 MB', '-1 GB', '1e3 MB', 'GB', '1 500 MB'])('%j is none', (text) => {
    expect(parseSize(text)).toBeNull()
  })
})

describe('ranges', () => {
  it('are read with the dashes and spaces that people write', () => {
    expect(formatGaps(parseGaps('5–7; 9, 11 - 12'))).toBe('5-7,9,11-12')
    expect(layerRange('8–23')).toEqual([8, 23])
    expect(layerRange('8 - 23')).toEqual([8, 23])
  })

  it('are not read out of numbers with separators', () => {
    expect(() => parseGaps('1.5')).toThrow()
    expect(() => layerRange('1,5-3')).toThrow()
  })
})

describe('a forecast', () => {
  it('has no more precision than it can have', () => {
    expect(formatRoughRange(7_600, 12_300)).toBe('8–12 s')
    expect(formatRoughRange(1_629_000, 2_647_000)).toBe('27–44 min')
    expect(formatRoughRange(40_000, 95_000)).toBe('40 s – 2 min')
    expect(formatRoughRange(100, 300)).toBe('1 s')
    expect(formatRough(9_200_000)).toBe('2.5 h')
    expect(formatRough(3_597_000)).toBe('1 h')
    expect(formatRough(200 * 3_600_000)).toBe('8 days')
  })
})
