import type { DirectionContinuity } from '@shared/analysis'
import { Random } from '../lib/random'
import { squaredDistances, type PointSet } from './projection'

const ORDERS = 999

/** Thresholds of the verdict, as `DirectionContinuity` documents them. */
const CLEAR = { p: 0.01, ratio: 0.8 } as const
const WEAK_P = 0.05

/**
 * Whether points in their order make a path: a permutation test on the mean distance between neighbours. Seeded, so
 * that the verdict is always the same.
 */
export function measureContinuity(points: PointSet): DirectionContinuity {
  const { count } = points
  const distances = squaredDistances(points).map(Math.sqrt)
  const along = (order: Uint32Array): number => {
    let sum = 0
    for (let i = 1; i < count; i += 1) sum += distances[order[i - 1]! * count + order[i]!]!
    return sum / Math.max(1, count - 1)
  }
  const order = Uint32Array.from({ length: count }, (_, index) => index)
  const neighbourDistance = along(order)
  const anyDistance =
    distances.reduce((sum, value) => sum + value, 0) / Math.max(1, count * (count - 1))
  const random = new Random(0, 'continuity')
  let asSmooth = 0
  for (let trial = 0; trial < ORDERS; trial += 1) {
    if (along(random.shuffle(order)) <= neighbourDistance) asSmooth += 1
  }
  const p = (asSmooth + 1) / (ORDERS + 1)
  const isClear = p <= CLEAR.p && neighbourDistance <= CLEAR.ratio * anyDistance
  return {
    neighbourDistance,
    anyDistance,
    p,
    verdict: isClear ? 'clear' : p <= WEAK_P ? 'weak' : 'none',
  }
}
