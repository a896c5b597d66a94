import { describe, expect, it } from 'vitest'
import { endAll } from '../../../src/shared/endAll'

describe('parts that are ended', () => {
  it('end in turn, also those after one that fails, whose reason is told', async () => {
    const ended: string[] = []
    const part = (name: string, error?: Error) => async (): Promise<void> => {
      await Promise.resolve()
      ended.push(name)
      if (error) throw error
    }
    const [first, second] = [new Error('first'), new Error('second')]
    const parts = [part('a'), part('b', first), part('c', second), part('d')]
    await expect(endAll(parts)).rejects.toBe(first)
    expect(ended).toEqual(['a', 'b', 'c', 'd'])
    await expect(endAll([part('e')])).resolves.toBeUndefined()
  })
})
