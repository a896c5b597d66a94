import { describe, expect, it } from 'vitest'
import { measureContinuity } from '../../../../src/main/engine/analysis/continuity'
import {
  jacobiEigen,
  projectByPca,
  projectByTsne,
  squaredDistances,
  type PointSet,
} from '../../../../src/main/engine/analysis/projection'
import { Random } from '../../../../src/main/engine/lib/random'

function pointSet(rows: readonly (readonly number[])[]): PointSet {
  return {
    count: rows.length,
    width: rows[0]?.length ?? 0,
    values: Float32Array.from(rows.flat()),
  }
}

const random = (count: number, width: number, seed: number): PointSet => {
  const source = new Random(seed, 'points')
  return pointSet(
    Array.from({ length: count }, () => Array.from({ length: width }, () => source.normal())),
  )
}

describe('the eigenproblem of a small symmetric matrix', () => {
  it('is solved to float64: orthonormal vectors that give the matrix back', () => {
    const n = 12
    const source = new Random(1, 'matrix')
    const matrix = new Float64Array(n * n)
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j <= i; j += 1) {
        matrix[i * n + j] = source.normal()
        matrix[j * n + i] = matrix[i * n + j] ?? 0
      }
    }
    const { values, vectors } = jacobiEigen(matrix, n)
    expect([...values].sort((a, b) => b - a)).toEqual([...values])
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < n; j += 1) {
        let [product, back] = [0, 0]
        for (let k = 0; k < n; k += 1) {
          product += (vectors[k * n + i] ?? 0) * (vectors[k * n + j] ?? 0)
          back += (vectors[i * n + k] ?? 0) * (values[k] ?? 0) * (vectors[j * n + k] ?? 0)
        }
        expect(product).toBeCloseTo(i === j ? 1 : 0, 12)
        expect(back).toBeCloseTo(matrix[i * n + j] ?? NaN, 12)
      }
    }
  })
})

describe('principal components', () => {
  it('keep all distances of points that lie in a plane', () => {
    // A plane in five dimensions, away from the origin.
    const [u, v] = [
      [0.6, 0.8, 0, 0, 0],
      [0, 0, 0.6, 0, 0.8],
    ]
    const at = [0, 1, 2, 3, 4, 5].map((t) => [3 * Math.cos(t), Math.sin(t)] as const)
    const points = pointSet(
      at.map(([a, b]) => [0, 1, 2, 3, 4].map((k) => 7 + a * (u?.[k] ?? 0) + b * (v?.[k] ?? 0))),
    )
    const { x, y, explained } = projectByPca(points)
    const flat = pointSet(at.map((_, i) => [x[i] ?? NaN, y[i] ?? NaN]))
    const [before, after] = [squaredDistances(points), squaredDistances(flat)]
    before.forEach((distance, index) => expect(after[index]).toBeCloseTo(distance, 4))
    expect((explained?.[0] ?? 0) + (explained?.[1] ?? 0)).toBeCloseTo(1, 6)
    expect(explained?.[0]).toBeGreaterThan(explained?.[1] ?? 1)
  })

  it('are made by the fitted points only, and the others are drawn in their plane', () => {
    const points = pointSet([
      [0, 0, 0],
      [2, 0, 0],
      [0, 1, 0],
      [2, 1, 0],
      [1, 0.5, 100],
    ])
    const { x, y } = projectByPca(points, [0, 1, 2, 3])
    // It lies in the middle of the rectangle, however far above it.
    expect(x[4]).toBeCloseTo(0, 9)
    expect(y[4]).toBeCloseTo(0, 9)
    expect(Math.abs(x[0] ?? 0)).toBeCloseTo(1, 6)
    expect(Math.abs(y[0] ?? 0)).toBeCloseTo(0.5, 6)
  })

  it('do not depend on where the points are or which sign a solver chose', () => {
    const points = random(9, 30, 2)
    const moved: PointSet = { ...points, values: points.values.map((value) => value + 3) }
    const [a, b] = [projectByPca(points), projectByPca(moved)]
    a.x.forEach((value, i) => expect(b.x[i]).toBeCloseTo(value, 4))
    for (const axis of [a.x, a.y]) {
      const largest = axis.reduce(
        (most, value) => (Math.abs(value) > Math.abs(most) ? value : most),
        0,
      )
      expect(largest).toBeGreaterThan(0)
    }
  })

  it('of points that are all alike, or one, lie at the origin', () => {
    for (const rows of [
      [[1, 2]],
      [
        [1, 2],
        [1, 2],
        [1, 2],
      ],
    ]) {
      const { x, y, explained } = projectByPca(pointSet(rows))
      expect([...x, ...y].every((value) => value === 0)).toBe(true)
      expect(explained).toEqual([0, 0])
    }
  })
})

describe('t-SNE', () => {
  /** Three groups far from each other, in a shuffled order. */
  const groups = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
  const noise = random(groups.length, 20, 3)
  const points: PointSet = {
    ...noise,
    values: noise.values.map((value, at) => {
      const row = Math.floor(at / 20)
      return value + (at % 20 === groups[row] ? 40 : 0)
    }),
  }

  it('keeps groups together and apart from each other', () => {
    const { x, y } = projectByTsne(points, { perplexity: 4, seed: 0 })
    const distance = (i: number, j: number): number =>
      Math.hypot((x[i] ?? NaN) - (x[j] ?? NaN), (y[i] ?? NaN) - (y[j] ?? NaN))
    groups.forEach((group, i) => {
      const others = groups.map((_, j) => j).filter((j) => j !== i)
      const nearest = others.reduce((best, j) => (distance(i, j) < distance(i, best) ? j : best))
      expect(groups[nearest]).toBe(group)
    })
  })

  it('is the same for the same seed, and centred', () => {
    const once = projectByTsne(points, { perplexity: 4, seed: 5 })
    expect(projectByTsne(points, { perplexity: 4, seed: 5 })).toEqual(once)
    expect(projectByTsne(points, { perplexity: 4, seed: 6 }).x).not.toEqual(once.x)
    expect(once.x.reduce((sum, value) => sum + value, 0)).toBeCloseTo(0, 9)
    expect(once.explained).toBeNull()
  })

  it('stays finite for points that are alike, and for very few', () => {
    const alike = pointSet(Array.from({ length: 12 }, (_, i) => [i < 6 ? 0 : 1, 5]))
    const few = pointSet([
      [0, 1],
      [1, 0],
      [2, 2],
    ])
    for (const set of [alike, few, pointSet([[1, 1]])]) {
      const { x, y } = projectByTsne(set, { perplexity: 30, seed: 0 })
      expect([...x, ...y].every(Number.isFinite)).toBe(true)
    }
  })
})

describe('the order of the layers', () => {
  it('shows clearly where they lie along a curve', () => {
    const curve = pointSet(
      Array.from({ length: 24 }, (_, t) => [Math.cos(t / 8), Math.sin(t / 8), t / 24]),
    )
    const found = measureContinuity(curve)
    expect(found.verdict).toBe('clear')
    expect(found.p).toBeCloseTo(0.001, 9)
    expect(found.neighbourDistance).toBeLessThan(found.anyDistance / 2)
    expect(measureContinuity(curve)).toEqual(found)
  })

  it('does not show in points at random', () => {
    const found = measureContinuity(random(24, 300, 4))
    expect(found.verdict).toBe('none')
    expect(found.neighbourDistance / found.anyDistance).toBeCloseTo(1, 1)
  })

  it('shows weakly where neighbours are hardly nearer than others', () => {
    // A trend that is small beside the noise.
    const { values } = random(40, 60, 5)
    const trend = values.map(
      (value, at) => value + (at % 60 === 0 ? Math.floor(at / 60) * 0.25 : 0),
    )
    const found = measureContinuity({ count: 40, width: 60, values: trend })
    expect(found.p).toBeLessThanOrEqual(0.05)
    expect(found.verdict).toBe('weak')
  })
})
