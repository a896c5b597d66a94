import { describeExperts, expertReport } from '@shared/experts'
import { describe, expect, it } from 'vitest'

const pair = (matched: number, shuffled: number) => ({
  left: 0,
  right: 1,
  matched,
  random: 1,
  shuffled,
})

describe('whether experts correspond', () => {
  it('is told by most pairs, and by more than chance finds', () => {
    const report = expertReport([pair(0.1, 0.5), pair(0.2, 0.5), pair(0.6, 0.5)], 0.5)
    expect(report.isMeaningful).toBe(true)
    expect(report.gain).toBeCloseTo(0.7)
    expect(describeExperts(report, true)).toMatch(
      /^Experts correspond .* 70 % nearer .* 2 of 3 pairs/,
    )
  })

  it.each([
    ['a little nearer than by chance', [pair(0.81, 0.83), pair(0.82, 0.83)]],
    ['near in a minority of pairs', [pair(0.01, 0.5), pair(0.6, 0.5), pair(0.6, 0.5)]],
    ['near in no pair, for there is none', []],
  ])('is denied where they are %s', (_, pairs) => {
    const report = expertReport(pairs, 0)
    expect(report.isMeaningful).toBe(false)
    expect(describeExperts(report, true)).toContain('means nothing here')
    expect(describeExperts(report, true)).toContain('as they are')
    expect(describeExperts(report, false)).not.toContain('as they are')
  })
})
