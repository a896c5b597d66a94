import {
  PLACEMENT_PRESETS,
  suitableGaps,
  trainingCost,
  type GapScores,
  type PlacementName,
  type PlacementRequest,
} from '@shared/places'
import { describe, expect, it } from 'vitest'

function gapsFor(name: PlacementName, request: PlacementRequest): number[] | null {
  return PLACEMENT_PRESETS.find((preset) => preset.name === name)!.gapsFor(request)
}

function gapWithLoss(gap: number, loss: number | null): GapScores {
  return {
    gap,
    slope: 1,
    candidates: [],
    fit: { loss, difference: null, step: 0.1 },
    weight_cosine: null,
    cka: null,
  }
}

/** A report of gaps whose fitted blocks leave these losses; the base has 2. */
function reportOf(losses: readonly (number | null)[], windows = losses.map(() => null)) {
  return {
    base_loss: 2,
    attention_windows: windows as (number | null)[],
    gaps: losses.map((loss, gap) => gapWithLoss(gap, loss)),
  }
}

describe('presets', () => {
  it('puts the paper’s layers where the paper does', () => {
    expect(gapsFor('late', { layers: 12, slots: 11, count: 6 })).toEqual([5, 6, 7, 8, 9, 10])
    const paper = Array.from({ length: 16 }, (_, index) => 15 + index)
    expect(gapsFor('late', { layers: 32, slots: 31, count: 16 })).toEqual(paper)
  })

  it('puts LLaMA Pro’s blocks after every fourth of 32 layers', () => {
    const after = [3, 7, 11, 15, 19, 23, 27, 31]
    expect(gapsFor('even', { layers: 32, slots: 32, count: 8 })).toEqual(after)
  })

  it('puts a block into the middle', () => {
    expect(gapsFor('middle', { layers: 12, slots: 11, count: 3 })).toEqual([4, 5, 6])
    expect(gapsFor('middle', { layers: 13, slots: 12, count: 4 })).toEqual([4, 5, 6, 7])
  })

  it.each(['late', 'middle', 'even', 'measured'] as const)(
    'gives any number of layers in order within the gaps: %s',
    (name) => {
      for (const layers of [1, 2, 3, 12, 48]) {
        for (const slots of [layers, Math.max(1, layers - 1)]) {
          const report = reportOf(Array.from({ length: layers }, (_, gap) => 1 + gap / 100))
          for (const count of [1, 2, 5, 24, 130]) {
            const gaps = gapsFor(name, { layers, slots, count, report })!
            expect(gaps).toHaveLength(count)
            expect([...gaps].sort((a, b) => a - b)).toEqual(gaps)
            expect(gaps[0]).toBeGreaterThanOrEqual(0)
            expect(gaps.at(-1)).toBeLessThan(slots)
            if (name === 'even' || count <= layers / 2 || name === 'measured') {
              const per = slots < count ? Math.ceil(count / slots) : 1
              const most = Math.max(...gaps.map((gap) => gaps.filter((g) => g === gap).length))
              expect(most).toBeLessThanOrEqual(per + (name === 'late' && layers === 1 ? count : 0))
            }
          }
        }
      }
    },
  )
})

describe('measured', () => {
  it('takes the largest gain for its cost', () => {
    // Gap 0 gains most, but costs twice what gap 3 does.
    const report = reportOf([1.0, 1.9, 1.9, 1.4])
    expect([0, 3].map((gap) => trainingCost(4, gap))).toEqual([6, 3])
    expect(gapsFor('measured', { layers: 4, slots: 4, count: 1, report })).toEqual([3])
    expect(gapsFor('measured', { layers: 4, slots: 4, count: 2, report })).toEqual([0, 3])
  })

  it('fills up with the cheapest of those that gain nothing, then begins again', () => {
    const report = reportOf([1.5, 2, 2.1, null])
    expect(gapsFor('measured', { layers: 4, slots: 4, count: 2, report })).toEqual([0, 3])
    expect(gapsFor('measured', { layers: 4, slots: 4, count: 5, report })).toEqual([0, 0, 1, 2, 3])
  })

  it('says nothing without a measurement, or where no block helps', () => {
    expect(gapsFor('measured', { layers: 4, slots: 4, count: 1 })).toBeNull()
    const report = reportOf([2, 2, 2.5, null])
    expect(gapsFor('measured', { layers: 4, slots: 4, count: 1, report })).toBeNull()
  })

  it('keeps the order of attention types', () => {
    const windows = [8, 8, null, 8, 8, null]
    expect(suitableGaps(windows, 6)).toEqual([0, 3, 5])
    expect(suitableGaps(windows, 5)).toEqual([0, 3])
    // Where types alternate there is no gap that keeps the order.
    expect(suitableGaps([8, null, 8, null], 3)).toEqual([0, 1, 2])
    const report = { ...reportOf([1.9, 1, 1, 1.8, 1, 1.9]), attention_windows: windows }
    expect(gapsFor('measured', { layers: 6, slots: 5, count: 1, report })).toEqual([3])
  })
})
