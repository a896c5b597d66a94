import { describe, expect, it } from 'vitest'
import {
  biasVector,
  matrixBlocks,
  normVector,
  type MatrixRecipe,
} from '../../../../src/main/engine/synthesis/matrix'

const recipe: MatrixRecipe = {
  family: 'mlp.up_proj.weight',
  layer: 3,
  rows: 192,
  columns: 256,
  deviation: 0.02,
}

/** All blocks as one array. */
function matrix(changes: Partial<MatrixRecipe> = {}, seed = 7): Float32Array {
  const blocks = [...copies({ ...recipe, ...changes }, seed)]
  const all = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0))
  let at = 0
  for (const block of blocks) {
    all.set(block, at)
    at += block.length
  }
  return all
}

function* copies(of: MatrixRecipe, seed: number): Generator<Float32Array> {
  for (const block of matrixBlocks(of, seed)) yield block.slice()
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? NaN), 0)
}

function cosine(a: Float32Array, b: Float32Array): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

/** (Σσ²)² / Σσ⁴: how many equal singular values would spread the energy alike. */
function effectiveRank(values: Float32Array, rows: number): number {
  const columns = values.length / rows
  const row = (index: number) => values.subarray(index * columns, (index + 1) * columns)
  let trace = 0
  let squares = 0
  for (let i = 0; i < rows; i += 1) {
    trace += dot(row(i), row(i))
    for (let j = 0; j < rows; j += 1) squares += dot(row(i), row(j)) ** 2
  }
  return trace ** 2 / squares
}

describe('matrixBlocks', () => {
  it('gives the same values for the same recipe and seed, others for another seed or layer', () => {
    expect(matrix()).toEqual(matrix())
    expect(cosine(matrix(), matrix({}, 8))).toBeCloseTo(0, 1)
    expect(matrix({ layer: 4 })).not.toEqual(matrix())
  })

  it('fills whole rows, whatever the size', () => {
    for (const [rows, columns] of [
      [1, 1],
      [3, 5],
      [1025, 1024],
    ] as const) {
      const blocks = [...copies({ ...recipe, rows, columns }, 1)]
      expect(blocks.every((block) => block.length % columns === 0)).toBe(true)
      const all = matrix({ rows, columns })
      expect(all).toHaveLength(rows * columns)
      expect(all.includes(0)).toBe(false)
      expect(all.every(Number.isFinite)).toBe(true)
    }
  })

  it('has the deviation asked for, around zero', () => {
    const values = matrix({ rows: 1024, columns: 1024 })
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    expect(Math.abs(mean)).toBeLessThan(0.02 * recipe.deviation)
    expect(Math.sqrt(dot(values, values) / values.length) / recipe.deviation).toBeCloseTo(1, 1)
  })

  it('resembles its neighbours in depth and not what lies far away', () => {
    const first = matrix({ layer: 0 })
    const near = cosine(first, matrix({ layer: 1 }))
    const far = cosine(first, matrix({ layer: 12 }))
    expect(near).toBeGreaterThan(0.1)
    expect(Math.abs(far)).toBeLessThan(0.7 * near)
    expect(cosine(first, matrix({ family: 'mlp.gate_proj.weight', layer: 0 }))).toBeCloseTo(0, 1)
  })

  it('has a spectrum that falls off faster than that of flat noise', () => {
    const { rows, columns } = recipe
    // For a Gaussian matrix: rows / (1 + rows / columns).
    const ofNoise = rows / (1 + rows / columns)
    const rank = effectiveRank(matrix(), rows)
    expect(rank).toBeLessThan(0.6 * ofNoise)
    expect(rank).toBeGreaterThan(4)
  })
})

describe('normVector', () => {
  it('lies around its level, with a few outliers in the same places in every layer', () => {
    const of = (layer: number) =>
      normVector({ family: 'norm', layer, size: 4096, level: 0.5, spread: 0.1 }, 1)
    const outliers = (values: Float32Array) =>
      [...values.keys()].filter((index) => (values[index] ?? 0) > 0.95)
    const [first, second] = [of(0), of(1)]
    expect(first).not.toEqual(second)
    expect(Math.min(...first)).toBeGreaterThan(0.25)
    expect(outliers(first).length).toBeGreaterThan(4)
    expect(outliers(first).length).toBeLessThan(40)
    expect(outliers(second)).toEqual(outliers(first))
  })
})

describe('biasVector', () => {
  it('is centred and heavy-tailed', () => {
    const values = biasVector({ family: 'b', layer: 0, size: 4096, level: 0, spread: 0.5 }, 1)
    const square = dot(values, values) / values.length
    const fourth = values.reduce((sum, value) => sum + value ** 4, 0) / values.length
    expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / values.length)).toBeLessThan(
      0.1 * Math.sqrt(square),
    )
    // 3 for a Gaussian.
    expect(fourth / square ** 2).toBeGreaterThan(6)
  })
})
