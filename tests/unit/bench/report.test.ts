import { describe, expect, it } from 'vitest'
import { describeMachine, emptyRow, formatResults, rowOf } from '../../bench/lib/report'
import { median, spread } from '../../bench/lib/statistics'
import type { Benchmark, Part } from '../../bench/lib/types'

const benchmark: Benchmark = {
  name: 'copy',
  description: 'copies something',
  run: () => Promise.resolve([]),
}

function part(changes: Partial<Part> = {}): Part {
  return {
    name: 'copy',
    unit: 's',
    ours: [3, 1, 2].map((value) => ({ value, peakBytes: value * 100 })),
    reference: [4, 5].map((value) => ({ value, peakBytes: null })),
    goal: {},
    ...changes,
  }
}

describe('median and spread', () => {
  it('are the middle and the ends', () => {
    expect(median([9, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(spread([4, 1, 2])).toEqual([1, 4])
    expect(() => median([])).toThrow(RangeError)
  })
})

describe('rowOf', () => {
  it('gives medians, the ratio of times, the highest peak', () => {
    expect(rowOf(benchmark, [part()])).toMatchObject({
      name: 'copy',
      ours: 2,
      reference: 4.5,
      ratio: 2 / 4.5,
      peak_bytes: 300,
      reference_peak_bytes: null,
      spread: { ours: [1, 3], reference: [4, 5] },
      repeats: 3,
      goal_met: null,
    })
  })

  it('turns rates into a ratio of times', () => {
    expect(rowOf(benchmark, [part({ unit: 'steps/s' })]).ratio).toBe(4.5 / 2)
  })

  it('holds every number against its goal', () => {
    const met = (goal: Part['goal'], changes: Partial<Part> = {}) =>
      rowOf(benchmark, [part({ goal, ...changes })]).goal_met
    expect(met({ ratio: 0.45 })).toBe(true)
    expect(met({ ratio: 0.44 })).toBe(false)
    expect(met({ ratio: 0.45, peakBytes: 299 })).toBe(false)
    expect(met({ seconds: 2 })).toBe(true)
    expect(met({ seconds: 1.9 })).toBe(false)
    const reference = [{ value: 4, peakBytes: 600 }]
    expect(met({ peakRatio: 0.5 }, { reference })).toBe(true)
    expect(met({ peakRatio: 0.4 }, { reference })).toBe(false)
    expect(met({ ratio: 0.1 }, { reference: null })).toBe(null)
  })

  it('stands for several parts with the one farthest from its goal', () => {
    const row = rowOf(benchmark, [
      part({ name: 'a', goal: { ratio: 1 } }),
      part({ name: 'b', goal: { ratio: 0.4 } }),
      part({ name: 'c', goal: { ratio: 0.9 } }),
    ])
    expect(row).toMatchObject({ name: 'copy', goal: { ratio: 0.4 }, goal_met: false })
    expect(row.parts?.map(({ name }) => name)).toEqual(['a', 'b', 'c'])
  })
})

describe('formatResults', () => {
  it('shows every part, what was skipped and what failed', () => {
    const estimate = { seconds: [1, 2] as const, peakBytes: 5e9 }
    const text = formatResults(
      [
        rowOf(benchmark, [
          part({ name: 'a' }),
          part({ name: 'b', goal: { ratio: 0.4 }, estimate }),
        ]),
        emptyRow({ ...benchmark, name: 'other' }, { skipped: 'no room' }),
        emptyRow({ ...benchmark, name: 'third' }, { failed: 'it broke' }),
      ],
      describeMachine(null, 1e6),
    )
    expect(text).toMatch(/^copy a +2\.00 s \(1\.00 … 3\.00\) +4\.50 s/m)
    expect(text).toMatch(/^copy b .* 0\.44 +ratio ≤ 0\.4 +no .*1\.00 … 2\.00 s, 5\.00 GB$/m)
    expect(text).toContain('WARNING: the machine was busy')
    expect(formatResults([], describeMachine(null, 0))).not.toContain('WARNING')
    expect(text).toContain('other: skipped: no room')
    expect(text).toContain('third: FAILED: it broke')
  })
})
