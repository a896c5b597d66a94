import { planExpansion } from '@shared/plan'
import { describe, expect, it } from 'vitest'

const GEMMA = ['local', 'local', 'global', 'local', 'local', 'global', 'local']

/** What each new layer is and what it is made of, in the base model's numbers. */
function computed(gaps: readonly number[], types: readonly string[]) {
  const { layers } = planExpansion({ name: 'neighbour-mean', gaps: [...gaps] }, types.length, types)
  return layers.flatMap((layer) =>
    layer.kind === 'computed'
      ? [{ of: types[layer.source], sides: layer.sides, at: layer.position, label: layer.label }]
      : [],
  )
}

describe('layers of several types', () => {
  it('are computed from two of one type: the one before the gap and the next of its type', () => {
    expect(computed([0, 1, 2], GEMMA)).toEqual([
      { of: 'local', sides: [0, 1], at: 0.5, label: '0½' },
      { of: 'local', sides: [1, 3], at: 0.5, label: '1½' },
      { of: 'global', sides: [2, 5], at: 0.5, label: '2½' },
    ])
  })

  it('where no more of that type come, of the one after the gap and the last of its type', () => {
    expect(computed([5], GEMMA)).toEqual([{ of: 'local', sides: [4, 6], at: 0.5, label: '5½' }])
  })

  it('are found under their new numbers', () => {
    const { layers } = planExpansion({ name: 'neighbour-mean', gaps: [0, 2, 2, 3] }, 7, GEMMA)
    for (const layer of layers) {
      if (layer.kind !== 'computed') continue
      const of = (side: number) => layers[side]!
      const [left, right] = [of(layer.left), of(layer.right)]
      for (const side of [left, right]) expect(GEMMA[side.source]).toBe(GEMMA[layer.source])
      if (left.kind === 'original') expect(left.source).toBe(layer.sides[0])
      if (right.kind === 'original') expect(right.source).toBe(layer.sides[1])
    }
  })

  it('several in one gap lie between the same two, by halving', () => {
    expect(computed([1, 1, 1], GEMMA).map(({ sides, at }) => [sides, at])).toEqual([
      [[1, 3], 0.25],
      [[1, 3], 0.5],
      [[1, 3], 0.75],
    ])
  })

  it('are refused where neither type has a layer on both sides, with the gaps that are left', () => {
    const types = ['dense', 'sparse', 'sparse', 'sparse']
    expect(() => computed([0], types)).toThrow(
      'gaps: expected gaps with layers of one type on both sides, 1-2, found 0 between layers of two types (dense; sparse)',
    )
  })

  it('leave out such gaps where nobody chose', () => {
    const types = ['a', 'a', 'b', 'c']
    const { resolved } = planExpansion({ name: 'neighbour-mean' }, 4, types)
    expect(resolved).toEqual({ gaps: [0] })
    expect(planExpansion({ name: 'neighbour-mean' }, 7, GEMMA).resolved).toEqual({
      gaps: [3, 4, 5],
    })
  })

  it('are as they were where all are alike', () => {
    const spec = { name: 'neighbour-mean', gaps: [1, 3, 3] } as const
    const alike = Array<string>(6).fill('full')
    expect(planExpansion({ ...spec, gaps: [...spec.gaps] }, 6, alike)).toEqual(
      planExpansion({ ...spec, gaps: [...spec.gaps] }, 6),
    )
  })
})
