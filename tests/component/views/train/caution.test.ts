import { describe, expect, it } from 'vitest'
import { hopelessOf, timesRead } from '../../../../src/renderer/src/views/train/caution'
import { timeUnitOf } from '../../../../src/renderer/src/views/train/timeUnit'

describe('cautions before a training', () => {
  it('say how often texts are read, from where that is too often', () => {
    // A vocabulary of 65,536 has about 4 bytes a token.
    expect(timesRead(1_000, 4_000, 65_536)).toBeNull()
    expect(timesRead(4_000, 4_000, 65_536)).toBeNull()
    expect(timesRead(8_000, 4_000, 65_536)).toBe('8')
    expect(timesRead(1_234_000, 4_000, 65_536)).toBe('1,200')
    expect(timesRead(1_000, 0, 65_536)).toBeNull()
  })

  it('say what no machine should be started for', () => {
    const pace = (low: number, high: number) => ({
      secondsPerStep: { low, high },
      steps: 1_000,
      tokensPerStep: 8_192,
    })
    expect(hopelessOf({ seconds: { low: 60, high: 90 } })).toBeNull()
    expect(hopelessOf({ seconds: { low: 60, high: 90 }, training: pace(0.1, 0.2) })).toBeNull()
    const days = 24 * 3600
    expect(
      hopelessOf({ seconds: { low: 30 * days, high: 40 * days }, training: pace(2_800, 3_000) }),
    ).toEqual({ seconds: 35 * days, secondsPerStep: 2_900 })
  })
})

describe('an axis of time', () => {
  it.each([
    [40, 's'],
    [179, 's'],
    [180, 'min'],
    [3 * 3600, 'h'],
  ] as const)('of %s seconds is marked in %s', (seconds, name) => {
    expect(timeUnitOf(seconds).name).toBe(name)
  })
})
