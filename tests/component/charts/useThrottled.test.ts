import { effectScope, nextTick, ref } from 'vue'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { useThrottled } from '../../../src/renderer/src/charts/useThrottled'

describe('a throttled value', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })

  /** A value that takes `cost` milliseconds to compute. */
  function setUp(cost: number) {
    const source = ref(0)
    let clock = 0
    let computed = 0
    vi.spyOn(performance, 'now').mockImplementation(() => clock)
    const scope = effectScope()
    const value = scope.run(() =>
      useThrottled([source], () => {
        clock += cost
        computed += 1
        return source.value
      }),
    )
    const pass = async (ms: number): Promise<void> => {
      await nextTick()
      await vi.advanceTimersByTimeAsync(ms)
    }
    return { source, value, scope, pass, count: () => computed }
  }

  it('is there at once, and follows at once after a quiet time', async () => {
    const { source, value, pass } = setUp(1)
    expect(value?.value).toBe(0)
    await pass(1_000)
    source.value = 1
    await nextTick()
    expect(value?.value).toBe(1)
  })

  it('is computed once for many changes, and ends at the last', async () => {
    const { source, value, pass, count } = setUp(1)
    for (let change = 1; change <= 50; change += 1) {
      source.value = change
      await nextTick()
    }
    expect(count()).toBe(1)
    await pass(100)
    expect(count()).toBe(2)
    expect(value?.value).toBe(50)
  })

  it('waits longer the more it costs', async () => {
    const { source, pass, count } = setUp(60)
    source.value = 1
    await pass(300)
    expect(count()).toBe(1)
    await pass(100)
    expect(count()).toBe(2)
  })

  it('computes nothing any more once nobody is there', async () => {
    const { source, scope, pass, count } = setUp(1)
    source.value = 1
    await nextTick()
    scope.stop()
    await pass(1_000)
    expect(count()).toBe(1)
  })
})
