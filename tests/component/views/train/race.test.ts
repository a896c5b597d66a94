import { BASE_NAME, curveSeries, STEP_TOKENS_SERIES } from '@shared/pretraining'
import { describe, expect, it } from 'vitest'
import type { Curves } from '../../../../src/renderer/src/lib/curves'
import {
  endOf,
  raceLines,
  raceOf,
  reachedBy,
  secondsAt,
  spreadOf,
  usualTarget,
} from '../../../../src/renderer/src/views/train/race'

const points = (x: readonly number[], y: readonly (number | null)[]) => ({ x, y })

/** `a` falls from 4 to 2, `b` from 4 to 3, over 100 steps of 512 tokens; `a` takes 10 s, `b` 20. */
const SERIES: Curves = {
  [STEP_TOKENS_SERIES]: points([0], [512]),
  [curveSeries('loss', '001-lesa')]: points([1, 2, 100], [4, null, 2.1]),
  [curveSeries('eval', '001-lesa')]: points([0, 50, 100], [4, 3, 2]),
  [curveSeries('elapsed', '001-lesa')]: points([0, 50, 100], [0, 5, 10]),
  [curveSeries('forgetting', '001-lesa')]: points([0, 100], [1, 1.5]),
  [curveSeries('loss', '002-solar')]: points([1, 100], [4, 3.1]),
  [curveSeries('eval', '002-solar')]: points([0, 50, 100], [4, 3.5, 3]),
  [curveSeries('elapsed', '002-solar')]: points([0, 50, 100], [0, 10, 20]),
  [curveSeries('eval', BASE_NAME)]: points([0], [3.7]),
}
const STARTS = [
  { id: '001-lesa', name: 'LESA' },
  { id: '002-solar', name: 'SOLAR' },
]

describe('a race', () => {
  it('is read from the series of its starts and of the base', () => {
    const race = raceOf(SERIES, STARTS)
    expect(race.tokensPerStep).toBe(512)
    expect(race.base).toEqual({ eval: 3.7, forgetting: null })
    expect(race.racers.map(({ name, seeds }) => [name, seeds.length])).toEqual([
      ['LESA', 1],
      ['SOLAR', 1],
    ])
    // What is no number is no point.
    expect(race.racers[0]?.seeds[0]?.loss).toEqual([
      [1, 4],
      [100, 2.1],
    ])
    expect(race.racers[0]?.style).not.toEqual(race.racers[1]?.style)
  })

  it('has no seeds before anything is told, and tells starts of one name apart', () => {
    const race = raceOf({}, [
      { id: '001-lesa', name: 'LESA' },
      { id: '002-lesa', name: 'LESA' },
    ])
    expect(race.racers.map(({ name, seeds }) => [name, seeds])).toEqual([
      ['LESA (001-lesa)', []],
      ['LESA (002-lesa)', []],
    ])
    expect(raceLines(race, 'loss', 'steps')).toEqual([])
    expect(usualTarget(race)).toBeNull()
  })

  it('asks what each needed for the loss that another ends with', () => {
    const race = raceOf(SERIES, STARTS)
    // LESA's evaluation is at 3 halfway; SOLAR ends there.
    expect(usualTarget(race)).toBe('002-solar')
    const [lesa, solar] = reachedBy(race, '002-solar')
    expect(lesa).toMatchObject({ ends: 2, steps: 50, tokens: 25_600, seconds: 5, ratio: 0.5 })
    expect(solar).toMatchObject({ ends: 3, steps: 100, tokens: 51_200, seconds: 20, ratio: 1 })
    expect(reachedBy(race, '001-lesa')[1]).toMatchObject({ steps: null, ratio: null, spread: null })
  })

  it('compares each seed with the same one of the other, and says how far they lie apart', () => {
    const race = raceOf(
      {
        ...SERIES,
        [curveSeries('eval', '001-lesa', 1)]: points([0, 50, 100], [4, 3.4, 2.4]),
        [curveSeries('eval', '002-solar', 1)]: points([0, 50, 100], [4, 3.6, 3.2]),
      },
      STARTS,
    )
    const [lesa] = reachedBy(race, '002-solar')
    expect(lesa?.steps).toBe(50)
    // 3.4 → 2.4 over 50 steps is at 3.2 after 10 of them.
    expect(lesa?.spread?.map((step) => step && Math.round(step))).toEqual([50, 60])
    expect(reachedBy(race, '001-lesa')[1]?.spread).toBeNull()
  })

  it('is compared by the smoothed training loss where nothing was measured', () => {
    const { racers } = raceOf(
      { [curveSeries('loss', '001-lesa')]: points([1, 2, 3], [3, 2, 1]) },
      STARTS,
    )
    const end = racers[0]?.seeds[0] && endOf(racers[0].seeds[0])
    expect(end).toBeGreaterThan(1)
    expect(end).toBeLessThan(3)
  })
})

describe('time', () => {
  it('lies along a line between the evaluations that tell it, and goes on at the last pace', () => {
    const elapsed = [
      [0, 0],
      [10, 5],
      [20, 20],
    ] as const
    expect(secondsAt(elapsed, 5)).toBe(2.5)
    expect(secondsAt(elapsed, 15)).toBe(12.5)
    expect(secondsAt(elapsed, 20)).toBe(20)
    expect(secondsAt(elapsed, 30)).toBe(30)
  })

  it('is not known before the first evaluation after the start', () => {
    expect(secondsAt([], 3)).toBeNull()
    expect(secondsAt([[0, 0]], 3)).toBeNull()
    expect(secondsAt([[0, 0]], 0)).toBe(0)
  })
})

describe('the lines of a race', () => {
  const race = raceOf(SERIES, STARTS)

  it('run along steps, tokens or time', () => {
    const along = (axis: 'steps' | 'tokens' | 'time') =>
      raceLines(race, 'loss', axis, 'eval').map(({ main }) => main.x)
    expect(along('steps')).toEqual([
      [0, 50, 100],
      [0, 50, 100],
    ])
    expect(along('tokens')[0]).toEqual([0, 25_600, 51_200])
    expect(along('time')).toEqual([
      [0, 5, 10],
      [0, 10, 20],
    ])
  })

  it('are the evaluation with the training behind it, or the smoothed training alone', () => {
    const [both] = raceLines(race, 'loss', 'steps', 'both')
    expect(both).toMatchObject({ isMarked: true, main: { y: [4, 3, 2] }, faint: { y: [4, 2.1] } })
    const [loss] = raceLines(race, 'loss', 'steps', 'loss')
    expect(loss).toMatchObject({ isMarked: false, main: { x: [1, 100] } })
    expect(loss?.main.y[0]).toBe(4)
    const [forgetting, none] = raceLines(race, 'forgetting', 'steps')
    expect(forgetting?.main.y).toEqual([1, 1.5])
    expect(none).toBeUndefined()
  })

  it('are the mean of several seeds, with the lowest and highest around it', () => {
    const several = raceOf(
      { ...SERIES, [curveSeries('eval', '001-lesa', 1)]: points([0, 50, 100], [4, 3.4, 3]) },
      STARTS,
    )
    const [line] = raceLines(several, 'loss', 'steps', 'eval')
    expect(line?.main.y).toEqual([4, 3.2, 2.5])
    expect(line?.band).toEqual({ x: [0, 50, 100], low: [4, 3, 2], high: [4, 3.4, 3] })
  })

  it('leave out steps that not all seeds have come to', () => {
    const { mean } = spreadOf([
      [
        [0, 1],
        [5, 2],
      ],
      [[0, 3]],
    ])
    expect(mean).toEqual([[0, 2]])
  })
})
