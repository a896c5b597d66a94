import { describe, expect, it } from 'vitest'
import { shownChange } from '../../../src/renderer/src/lib/changes'

const types = (count: number, last = 'full_attention'): string =>
  JSON.stringify([...Array.from({ length: count - 1 }, () => 'full_attention'), last])

describe('a change of a config', () => {
  it('counts what a list repeats', () => {
    expect(shownChange(types(12), types(18), 30)).toEqual({
      before: '[12 × "full_attention"]',
      after: '[18 × "full_attention"]',
    })
  })

  it.each<[string, string | null, string | null]>([
    ['ends alike', types(40), types(40, 'sliding_attention')],
    [
      'one entry more of many',
      JSON.stringify([1, 2, 3, 4, 5, 6, 7, 8, 9]),
      '[1,2,3,4,5,6,7,8,9,9]',
    ],
    ['long texts', JSON.stringify(`${'x'.repeat(100)}a`), JSON.stringify(`${'x'.repeat(100)}b`)],
    ['text that is longer', JSON.stringify('x'.repeat(100)), JSON.stringify('x'.repeat(101))],
    ['absent before', null, JSON.stringify('y'.repeat(100))],
    ['numbers', '12', '18'],
  ])('shows what differs in little room: %s', (_, before, after) => {
    const shown = shownChange(before, after, 20)
    expect(shown.before).not.toBe(shown.after)
    expect(Math.max(shown.before.length, shown.after.length)).toBeLessThanOrEqual(20)
  })
})
