import { constant, cosine, scheduleNamed, warmUp, wsd, type Schedule } from '@shared/schedules'
import { describe, expect, test } from 'vitest'
import { adamwScalars } from '../../../src/main/engine/training/adamw'

const over = (schedule: Schedule, steps: number): number[] =>
  Array.from({ length: steps }, (_, index) => Number(schedule(index + 1).toFixed(4)))

describe('schedules', () => {
  test.each<[string, Schedule, number[]]>([
    ['constant', constant, [1, 1, 1, 1, 1]],
    ['warm-up', warmUp(3, constant), [0.25, 0.5, 0.75, 1, 1]],
    ['cosine', cosine(5), [1, 0.8536, 0.5, 0.1464, 0]],
    ['cosine, to a tenth, and then there', cosine(3, 0.1), [1, 0.55, 0.1, 0.1]],
    ['cosine after a warm-up', warmUp(1, cosine(3)), [0.5, 1, 0.5, 0]],
    ['one step', cosine(1), [0]],
    [
      'warm-up, stable, decay',
      wsd({ steps: 9, warmUp: 2, decay: 4 }),
      [0.3333, 0.6667, 1, 1, 1, 0.5, 0.2929, 0.134, 0],
    ],
    ['a decay to a fifth', wsd({ steps: 4, warmUp: 0, decay: 1, final: 0.2 }), [1, 1, 1, 0.2, 0.2]],
    ['wsd by its name', scheduleNamed('wsd', 5, 1), [0.5, 1, 1, 1, 0]],
    ['cosine by its name', scheduleNamed('cosine', 4, 1), [0.5, 1, 0.5, 0]],
    ['constant by its name', scheduleNamed('constant', 3, 1), [0.5, 1, 1]],
    ['no decay', wsd({ steps: 3, warmUp: 0, decay: 0 }), [1, 1, 1]],
  ])('%s', (_, schedule, expected) => {
    expect(over(schedule, expected.length)).toEqual(expected)
  })

  test('a plateau that is prolonged begins the same', () => {
    const [short, long] = [9, 90].map((steps) => over(wsd({ steps, warmUp: 3, decay: 4 }), 5))
    expect(short).toEqual(long)
  })

  test('a factor acts on the step and on the decay of weights; zero moves nothing', () => {
    const settings = { learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.5 }
    const [scale, offset, kept] = adamwScalars(3, settings)
    const half = adamwScalars(3, settings, 0.5)
    expect(half[0] / scale).toBeCloseTo(2, 10)
    expect(half[1] / offset).toBeCloseTo(2, 10)
    expect([kept, half[2]]).toEqual([0.95, 0.975])
    const none = adamwScalars(3, settings, 0)
    expect(none.every(Number.isFinite)).toBe(true)
    expect([1 / none[0] < 1e-25, none[2]]).toEqual([true, 1])
  })
})
