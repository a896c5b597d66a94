import { describe, expect, it } from 'vitest'
import { assign } from '../../../../src/main/engine/alignment/assignment'
import { Random } from '../../../../src/main/engine/lib/random'

function total(cost: Float32Array, n: number, columns: Int32Array): number {
  return columns.reduce((sum, column, row) => sum + (cost[row * n + column] ?? NaN), 0)
}

function permutations(n: number): number[][] {
  if (n === 0) return [[]]
  return permutations(n - 1).flatMap((each) =>
    Array.from({ length: n }, (_, at) => [...each.slice(0, at), n - 1, ...each.slice(at)]),
  )
}

/** Whether prices prove that nothing is cheaper: no cycle of exchanges between rows saves anything (Floyd–Warshall). */
function isOptimal(cost: Float32Array, n: number, columns: Int32Array): boolean {
  const saving = Array.from({ length: n }, (_, i) =>
    Float64Array.from(
      { length: n },
      (_, j) => cost[i * n + columns[j]!]! - cost[i * n + columns[i]!]!,
    ),
  )
  for (let k = 0; k < n; k += 1) {
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < n; j += 1) {
        saving[i]![j] = Math.min(saving[i]![j]!, saving[i]![k]! + saving[k]![j]!)
      }
    }
  }
  return saving.every((row, i) => row[i]! > -1e-4)
}

describe('an assignment', () => {
  it.each([1, 2, 3, 5, 7])('of %i is the cheapest of all', async (n) => {
    for (let seed = 0; seed < 20; seed += 1) {
      const random = new Random(seed, 'assignment')
      // Whole numbers tie often.
      const isWhole = seed % 2 === 0
      const cost = Float32Array.from({ length: n * n }, () =>
        isWhole ? Math.floor(5 * random.uniform()) : random.normal(),
      )
      const found = await assign(cost, n)
      expect([...found].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i))
      const least = Math.min(
        ...permutations(n).map((each) => total(cost, n, Int32Array.from(each))),
      )
      expect(total(cost, n, found)).toBeCloseTo(least, 4)
    }
  })

  it('of a hundred leaves nothing to exchange', async () => {
    for (let seed = 0; seed < 6; seed += 1) {
      const random = new Random(seed, 'assignment')
      const n = 100
      const cost = Float32Array.from({ length: n * n }, () =>
        seed % 2 === 0 ? Math.floor(40 * random.uniform()) : random.normal(),
      )
      const found = await assign(cost, n)
      expect(new Set(found).size).toBe(n)
      expect(isOptimal(cost, n, found)).toBe(true)
    }
  })

  it('where all cost the same is some permutation', async () => {
    expect(new Set(await assign(new Float32Array(64 * 64), 64)).size).toBe(64)
  })
})
