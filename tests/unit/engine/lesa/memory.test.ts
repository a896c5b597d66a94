import { describe, expect, it } from 'vitest'
import { arrayNeed, planMemory, requireMemory } from '../../../../src/main/engine/lesa/memory'
import { arrayLimits, beyondLimits, requireArrays } from '../../../../src/main/engine/lib/arrays'

const electron = arrayLimits({ ...process.versions, electron: '45.4.1' })
const node = arrayLimits({ ...process.versions, electron: undefined } as never)

/** A down projection's transposed kind: as many rows as the MLP is wide. */
const mlp = (rows: number, width: number, layerCount = 80) =>
  ({ rows, width, layerCount, precision: 'int16' }) as const

const refusal = (rows: number, width: number, limits = electron): unknown => {
  try {
    requireMemory([mlp(rows, width)], undefined, limits)
    return null
  } catch (error) {
    return error
  }
}

describe('under Electron', () => {
  it('models are planned as they are elsewhere, where their Gram matrix fits an array', () => {
    // Llama 8B, Qwen3 14B.
    expect(refusal(14_336, 4_096)).toBeNull()
    expect(refusal(17_408, 5_120)).toBeNull()
  })

  it.each([
    ['Llama 70B', 28_672, 8_192],
    ['Qwen 32B', 27_648, 5_120],
    ['the first square of 2 GiB', 23_171, 4_096],
  ])('%s is refused before anything is computed, with a way that works', (_name, rows, width) => {
    expect(refusal(rows, width)).toMatchObject({
      code: 'not_enough_memory',
      message: expect.stringContaining('in one piece') as unknown,
      hint: expect.stringContaining('lesa serve') as unknown,
    })
    expect(refusal(rows, width, node)).toBeNull()
  })

  it('what fits one by one and not together is refused, too', () => {
    const need = arrayNeed(mlp(22_000, 8_192))
    expect(need.largest).toBeLessThan(electron.one)
    expect(beyondLimits(need, electron)).toBe(need.together)
    expect(refusal(22_000, 8_192)).toMatchObject({
      message: expect.stringContaining('at once') as unknown,
    })
  })

  it('coordinates that would take all of the arrays go to a file, however much memory is free', () => {
    const shape = mlp(14_336, 4_096, 80)
    expect(planMemory(shape, 1e12, node).coordinates).toBe('memory')
    expect(planMemory(shape, 1e12, electron).coordinates).toBe('file')
    expect(planMemory(mlp(14_336, 4_096, 8), 1e12, electron).coordinates).toBe('memory')
  })
})

it('Node holds arrays of 16 GiB and no more', () => {
  expect(new Float32Array(0).BYTES_PER_ELEMENT * (2 ** 32 - 1)).toBe(node.one)
  expect(() => requireArrays({ largest: 2 ** 34, together: 2 ** 34 }, node)).toThrow('in one piece')
  expect(() => requireArrays({ largest: 1, together: 1e15 }, node)).not.toThrow()
})
