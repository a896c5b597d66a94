import { describe, expect, test } from 'vitest'
import { splitWindows, WindowOrder } from '../../../../src/main/engine/corpus/order'

describe('splitWindows', () => {
  test.each([
    ['a share of many', 100, 0.05, { train: 95, held: 5 }],
    ['one at least', 3, 0.05, { train: 2, held: 1 }],
    ['never all', 2, 0.5, { train: 1, held: 1 }],
    ['none of a single window', 1, 0.5, { train: 1, held: 0 }],
    ['none where none is asked for', 100, 0, { train: 100, held: 0 }],
  ])('%s', (_, count, share, expected) => {
    expect(splitWindows(count, share)).toEqual(expected)
  })
})

describe('WindowOrder', () => {
  const first = (order: WindowOrder, count: number): number[] =>
    Array.from({ length: count }, (_, position) => order.at(position))

  test('sequential begins again after the last', () => {
    expect(first(new WindowOrder(3, 'sequential', 7), 8)).toEqual([0, 1, 2, 0, 1, 2, 0, 1])
  })

  test('shuffled has every window once in an epoch, each epoch in another order', () => {
    const all = first(new WindowOrder(40, 'shuffled', 7), 120)
    const epochs = [0, 40, 80].map((start) => all.slice(start, start + 40))
    const sorted = Array.from({ length: 40 }, (_, window) => window)
    for (const epoch of epochs) {
      expect([...epoch].sort((a, b) => a - b)).toEqual(sorted)
      expect(epoch).not.toEqual(sorted)
    }
    expect(new Set(epochs.map(String)).size).toBe(3)
  })

  test('is the same from any position on, and another with another seed', () => {
    const all = first(new WindowOrder(11, 'shuffled', 3), 50)
    const late = new WindowOrder(11, 'shuffled', 3)
    const backwards = Array.from({ length: 50 }, (_, index) => late.at(49 - index)).reverse()
    expect(backwards).toEqual(all)
    expect(first(new WindowOrder(11, 'shuffled', 4), 50)).not.toEqual(all)
  })
})
