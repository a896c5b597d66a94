import {
  canHoldOut,
  defaultHoldout,
  holdoutFolds,
  innerLayers,
  layersLeft,
  listLayers,
  pooled,
  someLayers,
} from '@shared/holdout'
import { Random } from '../../../src/main/engine/lib/random'
import { describe, expect, it } from 'vitest'

describe('the trainings without held-out layers', () => {
  it('see no sample in which such a layer is target or neighbour', () => {
    for (const layers of [5, 12, 22, 32, 80]) {
      for (const fold of holdoutFolds(someLayers(layers), layers)) {
        const left = layersLeft(fold, layers)
        expect(left.length).toBeGreaterThan(0)
        for (const target of left) {
          for (const part of [target - 1, target, target + 1]) expect(fold).not.toContain(part)
        }
      }
    }
    expect(layersLeft([6], 12)).toEqual([1, 2, 3, 4, 8, 9, 10])
    expect(layersLeft([], 12)).toEqual(innerLayers(12))
  })

  it('are one for each layer of a small model, and one for several of a deep one', () => {
    expect(holdoutFolds([9, 3, 6], 12)).toEqual([[3], [6], [9]])
    expect(holdoutFolds([7, 14], 22)).toEqual([[7, 14]])
    expect(holdoutFolds([8, 16, 24], 32)).toEqual([[8, 16, 24]])
    // Layers that share a sample are never together.
    expect(holdoutFolds([10, 12, 13, 40], 80)).toEqual([[10, 13, 40], [12]])
    expect(holdoutFolds([], 12)).toEqual([])
  })

  it('leave most samples, unless one layer alone takes more', () => {
    for (const layers of [10, 16, 32, 60]) {
      for (const fold of holdoutFolds(innerLayers(layers), layers)) {
        expect(layersLeft(fold, layers).length / (layers - 2)).toBeGreaterThanOrEqual(0.6)
      }
    }
  })
})

describe('the layers that are held out', () => {
  it('are a few, evenly spread, that leave something to learn from', () => {
    expect(someLayers(12)).toEqual([3, 6, 9])
    expect(someLayers(32)).toEqual([8, 16, 24])
    expect(someLayers(5)).toEqual([1, 3])
    expect(someLayers(4)).toEqual([])
    expect(canHoldOut(2, 5)).toBe(false)
    expect(canHoldOut(0, 12)).toBe(false)
    expect(canHoldOut(11, 12)).toBe(false)
  })

  it('are by default those that one training keeps out', () => {
    const all = [3, 6, 9, 10, 12, 16, 17, 24, 25, 32, 126]
    expect(all.map((layers) => defaultHoldout(layers)?.length ?? 0)).toEqual([
      0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3,
    ])
    for (const layers of all) {
      expect(holdoutFolds(defaultHoldout(layers) ?? [], layers).length).toBeLessThan(2)
    }
    expect(defaultHoldout(12)).toEqual([6])
  })

  it('are named as people do', () => {
    expect([[3], [3, 6], [3, 6, 9]].map(listLayers)).toEqual(['3', '3 and 6', '3, 6 and 9'])
  })
})

describe('figures of several layers', () => {
  it('are those of all their elements as one', () => {
    const random = new Random(3)
    const layers = [1, 4, 9].map((layer) => ({
      layer,
      target: Array.from({ length: 50 }, () => layer * random.normal()),
      guess: Array.from({ length: 50 }, () => random.normal()),
      mean: Array.from({ length: 50 }, () => random.normal()),
    }))
    const sum = (list: number[]): number => list.reduce((total, value) => total + value, 0)
    const figures = (target: number[], guess: number[], mean: number[]) => {
      const [t2, g2] = [sum(target.map((v) => v * v)), sum(guess.map((v) => v * v))]
      const product = sum(target.map((v, i) => v * guess[i]!))
      return {
        mse: sum(target.map((v, i) => (v - guess[i]!) ** 2)) / target.length,
        mseOfZero: t2 / target.length,
        mseOfMean: sum(target.map((v, i) => (v - mean[i]!) ** 2)) / target.length,
        normRatio: Math.sqrt(g2 / t2),
        cosine: product / Math.sqrt(t2 * g2),
      }
    }
    const all = figures(
      layers.flatMap(({ target }) => target),
      layers.flatMap(({ guess }) => guess),
      layers.flatMap(({ mean }) => mean),
    )
    const found = pooled(
      layers.map(({ layer, target, guess, mean }) => ({ layer, ...figures(target, guess, mean) })),
    )
    for (const key of Object.keys(all) as (keyof typeof all)[]) {
      expect(found[key], key).toBeCloseTo(all[key], 10)
    }
    const zero = { layer: 1, mse: 1, mseOfZero: 0, mseOfMean: 0, normRatio: 0, cosine: 0 }
    expect(pooled([zero])).toMatchObject({ mse: 1, normRatio: 0, cosine: 0 })
  })
})
