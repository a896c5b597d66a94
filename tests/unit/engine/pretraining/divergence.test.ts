import type { Curve } from '@shared/pretraining'
import { describe, expect, it } from 'vitest'
import { DivergenceWatch, isFarAbove } from '../../../../src/main/engine/pretraining/divergence'

const curve = (...values: readonly number[]): Curve =>
  values.map((value, index) => [index + 1, value] as const)

describe('a loss far above the start', () => {
  it.each([
    [3, 4.4, false],
    [3, 4.6, true],
    // Of a low loss a nat counts, not half of it.
    [0.5, 1.4, false],
    [0.5, 1.6, true],
    [3, NaN, true],
    [3, Infinity, true],
  ])('from %f to %f: %s', (start, loss, isFar) => {
    expect(isFarAbove(loss, start)).toBe(isFar)
  })
})

describe('the watch', () => {
  it('waits for ten steps, and looks at their mean', () => {
    const watch = new DivergenceWatch()
    expect(watch.isSuspicious(curve(3, 99, 99, 99))).toBe(false)
    const oneBad = curve(3, 3, 3, 3, 3, 3, 3, 3, 3, 12)
    expect(watch.isSuspicious(oneBad)).toBe(false)
    expect(watch.isSuspicious(curve(3, 3, 3, 3, 3, 5, 7, 9, 9, 9))).toBe(true)
  })

  it('looks at the last ten only', () => {
    const losses = [
      3,
      ...Array.from({ length: 20 }, () => 9),
      ...Array.from({ length: 10 }, () => 3),
    ]
    expect(new DivergenceWatch().isSuspicious(curve(...losses))).toBe(false)
  })

  it('compares with harder text once it has been told that the text is harder', () => {
    const watch = new DivergenceWatch()
    const harder = curve(1, ...Array.from({ length: 10 }, () => 3))
    expect(watch.isSuspicious(harder)).toBe(true)
    watch.accept(harder)
    expect(watch.isSuspicious(harder)).toBe(false)
    expect(watch.isSuspicious(curve(1, ...Array.from({ length: 10 }, () => 5)))).toBe(true)
  })
})
