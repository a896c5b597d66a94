import { periodOf } from '@shared/methods/layers'
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

describe('the period of types', () => {
  it.each([
    [[], 1],
    [['a', 'a', 'a'], 1],
    [['a', 'b', 'a', 'b', 'a'], 2],
    [GEMMA, 3],
    // Once and a bit is no repetition.
    [['a', 'b', 'a'], null],
    [['a', 'b', 'b', 'a'], null],
    [['a', 'a', 'b', 'b'], null],
  ])('of %j is %j', (types, period) => {
    expect(periodOf(types)).toBe(period)
  })
})

describe('whole periods', () => {
  const TWELVE = Array.from({ length: 12 }, (_, layer) => (layer % 3 === 2 ? 'global' : 'local'))

  function kept(name: 'neighbour-mean' | 'interpolation' | 'llama-pro', gaps?: number[]) {
    const spec = { name, keepPattern: true, ...(gaps ? { gaps } : {}) } as const
    return planExpansion(spec, 12, TWELVE)
  }

  it('keep the types repeating, wherever they go, and each new layer is of the type of both its sides', () => {
    for (const method of ['neighbour-mean', 'interpolation', 'llama-pro'] as const) {
      for (const gaps of [[2], [3, 4], [5, 5, 5], [2, 6, 6, 8], [2, 3, 4, 5, 6, 7, 8]]) {
        const { layers } = kept(method, gaps)
        expect(layers).toHaveLength(12 + 3 * gaps.length)
        layers.forEach((layer, index) => {
          expect(TWELVE[layer.source]).toBe(TWELVE[index % 3])
          if (layer.kind !== 'computed') return
          const { sides, left, right, position } = layer
          expect(sides[1]).toBe(sides[0] + 3)
          expect(left).toBeLessThan(index)
          expect(right).toBeGreaterThan(index)
          expect(index - left).toBeGreaterThan(0)
          expect([left % 3, right % 3]).toEqual([index % 3, index % 3])
          expect(position).toBeGreaterThan(0)
          expect(position).toBeLessThan(1)
        })
      }
    }
  })

  it('are one layer of each place, from the two of that place around it', () => {
    const { layers } = kept('neighbour-mean', [4])
    expect(
      layers.flatMap((layer) => (layer.kind === 'computed' ? [[layer.label, layer.sides]] : [])),
    ).toEqual([
      ['4·1', [2, 5]],
      ['4·2', [3, 6]],
      ['4·3', [4, 7]],
    ])
    expect(layers.slice(4, 9).map(({ source }) => source)).toEqual([4, 2, 3, 4, 5])
  })

  it('share a stretch between two layers by halving, also where they come of several gaps', () => {
    const between = (gaps: number[]) =>
      kept('neighbour-mean', gaps).layers.flatMap((layer) =>
        layer.kind === 'computed' && layer.sides[0] === 3 ? [layer.position] : [],
      )
    expect(between([3, 5])).toEqual(between([4, 4]))
    expect(between([3, 5])).toEqual([0.5, 0.75])
    expect(between([4, 4, 4])).toEqual([0.25, 0.5, 0.75])
  })

  it('come by default as often as makes about as many layers, each a period from the next', () => {
    expect(kept('neighbour-mean').resolved).toEqual({ gaps: [5, 8] })
    expect(kept('interpolation').resolved).toEqual({ gaps: [5, 8] })
    expect(kept('llama-pro').resolved).toEqual({ groups: 1, after: [11] })
  })

  it('are refused where none lies on both sides, with the gaps that are left', () => {
    expect(() => kept('neighbour-mean', [1])).toThrow(
      'keepPattern: expected gaps beside which there are whole periods of 3 layers, 2-8, found 1.',
    )
    expect(() => kept('neighbour-mean', [9])).toThrow('2-8, found 9.')
    expect(() => kept('interpolation', [1])).toThrow('2-11, found 1.')
    expect(kept('interpolation', [11]).layers).toHaveLength(15)
  })

  it('are refused where the types do not repeat', () => {
    const spec = { name: 'neighbour-mean', keepPattern: true } as const
    expect(() => planExpansion(spec, 4, ['dense', 'sparse', 'sparse', 'sparse'])).toThrow(
      'keepPattern: expected layers whose types repeat, at least twice, found 4 layers of 2 types in no such order.',
    )
  })

  it('are single layers where all are alike', () => {
    const spec = { name: 'neighbour-mean', gaps: [1, 3, 3] } as const
    expect(planExpansion({ ...spec, gaps: [1, 3, 3], keepPattern: true }, 6)).toEqual(
      planExpansion({ ...spec, gaps: [1, 3, 3] }, 6),
    )
  })
})
