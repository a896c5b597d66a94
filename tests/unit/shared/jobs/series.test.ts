import { addPoints, extendSeries, thin, type OpenSeries } from '@shared/jobs'
import { describe, expect, it } from 'vitest'

const range = (length: number): number[] => Array.from({ length }, (_, i) => i)

describe('points that are added', () => {
  it('go on where the series ends, and leave what was given as it was', () => {
    const known = { a: { x: [1, 2], y: [9, 8] }, b: { x: [1], y: [1] } }
    const next = addPoints(known, 'a', { x: [3, 4], y: [7, 6] }, 100)
    expect(next).toEqual({ a: { x: [1, 2, 3, 4], y: [9, 8, 7, 6] }, b: { x: [1], y: [1] } })
    expect(next['b']).toBe(known.b)
    expect(known.a.x).toEqual([1, 2])
  })

  it('replace the series from where they begin', () => {
    const known = { a: { x: [1, 2, 3], y: [9, 8, 7] } }
    expect(addPoints(known, 'a', { x: [2], y: [5] }, 100)['a']).toEqual({ x: [1, 2], y: [9, 5] })
    expect(addPoints(known, 'a', { x: [0, 1], y: [6, 5] }, 100)['a']).toEqual({
      x: [0, 1],
      y: [6, 5],
    })
  })

  it('change nothing when they are added again, as long as all that came after them are', () => {
    const parts = [
      { x: [1, 2], y: [5, 4] },
      { x: [3], y: [3] },
      { x: [4, 5], y: [2, 1] },
    ]
    const all = parts.reduce((known, part) => addPoints(known, 'a', part, 100), {})
    expect(parts.slice(1).reduce((known, part) => addPoints(known, 'a', part, 100), all)).toEqual(
      all,
    )
  })

  it('make a new series, whatever its name', () => {
    const all = addPoints({}, '__proto__', { x: [1], y: [2] }, 100)
    expect(Object.hasOwn(all, '__proto__')).toBe(true)
  })

  it('thin a long series, the same in whatever portions they come', () => {
    const y = range(5_000).map((i) => Math.sin(i / 50) + (i === 123 ? 10 : 0))
    const gather = (portion: number): OpenSeries<number> => {
      const series: OpenSeries<number> = { x: [], y: [] }
      for (let from = 0; from < y.length; from += portion) {
        const to = from + portion
        extendSeries(series, { x: range(5_000).slice(from, to), y: y.slice(from, to) }, 400)
      }
      return series
    }
    const series = gather(1)
    expect(gather(73)).toEqual(series)
    expect(series.x.length).toBeLessThanOrEqual(400)
    expect(series.y).toContain(y[123])
    expect(series.x.at(-1)).toBe(4_999)
    // Evenly over the whole course: no stretch of it is left with next to nothing.
    for (let tenth = 0; tenth < 10; tenth += 1) {
      const inside = series.x.filter((x) => x >= tenth * 500 && x < (tenth + 1) * 500)
      expect(inside.length, `tenth ${tenth}`).toBeGreaterThan(10)
    }
  })
})

describe('thinning', () => {
  it('keeps the lowest and highest of each stretch of x', () => {
    const x = [0, 1, 2, 3, 4, 100, 101, 102, 103]
    const y = [5, 1, 9, 4, 3, 7, null, 8, 6]
    expect(thin({ x, y }, 4)).toEqual({ x: [1, 2, 102, 103], y: [1, 9, 8, 6] })
    expect(thin({ x, y }, 9)).toEqual({ x, y })
  })

  it('prefers numbers to what is none', () => {
    const x = range(8)
    expect(thin({ x, y: [NaN, 2, NaN, 1, NaN, NaN, NaN, NaN] }, 4).y).toEqual([2, 1, NaN])
  })
})
