import { expect, test } from 'vitest'
import { chooseStep, FIRST_STEP } from '../../../../src/main/engine/fitting/stepSize'

async function choose(loss: (step: number) => number, first?: number) {
  const asked: number[] = []
  const search = chooseStep<number>(async function* (step) {
    asked.push(step)
    yield await Promise.resolve(step)
    return loss(step)
  }, first)
  for (;;) {
    const next = await search.next()
    if (next.done) return { ...next.value, asked }
  }
}

/** Lowest at a step, and lower everywhere near it than without one. */
const valley =
  (at: number) =>
  (step: number): number =>
    step === 0 ? 2 : Math.log2(step / at) ** 2 / 100

test.each([0.8, 0.1, 0.025, 0.0125, 3.2])('finds a step of %d', async (at) => {
  const { step, tried, asked } = await choose(valley(at))
  expect(step / at).toBeCloseTo(1, 6)
  expect(tried[0]).toEqual([0, 2])
  // Nothing is measured twice.
  expect(new Set(asked).size).toBe(asked.length)
})

test('takes no step where each is worse than none, or no better', async () => {
  for (const worse of [(each: number) => 1 + each, () => 1]) {
    const { step, tried } = await choose(worse)
    expect(step).toBe(0)
    expect(tried.length).toBeLessThan(9)
    expect(Math.min(...tried.slice(1).map(([each]) => each))).toBeLessThan(1e-4)
  }
})

test('a step whose loss is no number is worse than any', async () => {
  const { step } = await choose((each) => (each > 0.01 ? NaN : each === 0 ? 1 : 0.9))
  expect(step).toBeLessThanOrEqual(0.01)
  expect(step).toBeGreaterThan(0)
})

test('begins where it is told, and ends where the loss falls for ever', async () => {
  const { asked, tried } = await choose((each) => -each, 0.8)
  expect(asked.slice(0, 2)).toEqual([0, 0.8])
  expect(tried.length).toBeLessThanOrEqual(30)
  expect(FIRST_STEP).toBe(0.1)
})
