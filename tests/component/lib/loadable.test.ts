import { flushPromises } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import { useLoadable } from '../../../src/renderer/src/lib/loadable'

/** A question whose answers come when the test says so. */
function asked(keyOf?: (subject: string, detail?: number) => unknown) {
  const waiting: { answer: (value: string) => void; fail: () => void }[] = []
  const loadable = useLoadable(
    (_subject: string, _detail?: number) =>
      new Promise<string>((resolve, reject) => {
        waiting.push({ answer: resolve, fail: () => reject(new Error('no')) })
      }),
    keyOf,
  )
  return { ...loadable, waiting }
}

describe('a loadable', () => {
  it('never shows the answer to another question', async () => {
    const { value, isLoading, load, waiting } = asked()
    void load('a')
    waiting[0]?.answer('of a')
    await flushPromises()
    expect(value.value).toBe('of a')
    void load('b')
    expect([value.value, isLoading.value]).toEqual([null, true])
    waiting[1]?.answer('of b')
    await flushPromises()
    expect([value.value, isLoading.value]).toEqual(['of b', false])
  })

  it('keeps the answer while the same is asked again', async () => {
    const { value, isLoading, load, waiting } = asked()
    void load('a')
    waiting[0]?.answer('first')
    await flushPromises()
    void load('a')
    expect([value.value, isLoading.value]).toEqual(['first', true])
    waiting[1]?.answer('second')
    await flushPromises()
    expect(value.value).toBe('second')
  })

  it('keeps it over what the answer does not depend on, where that is said', async () => {
    const { value, load, waiting } = asked((subject) => subject)
    void load('a', 1)
    waiting[0]?.answer('of a')
    await flushPromises()
    void load('a', 2)
    expect(value.value).toBe('of a')
    void load('b', 2)
    expect(value.value).toBeNull()
  })

  it('drops a late answer, also one to the question that is asked again', async () => {
    const { value, load, waiting } = asked()
    void load('a')
    void load('b')
    void load('a')
    waiting[2]?.answer('newest')
    await flushPromises()
    waiting[0]?.answer('oldest')
    waiting[1]?.fail()
    await flushPromises()
    expect(value.value).toBe('newest')
  })

  it('shows a failure only with its own question', async () => {
    const { error, load, waiting } = asked()
    void load('a')
    waiting[0]?.fail()
    await flushPromises()
    expect(error.value).not.toBeNull()
    void load('b')
    expect(error.value).toBeNull()
  })
})
