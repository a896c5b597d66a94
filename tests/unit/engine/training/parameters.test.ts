import { describe, expect, test } from 'vitest'
import {
  packParameters,
  parameterGroups,
  unpackParameters,
  type Parameter,
} from '../../../../src/main/engine/training/parameters'

const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, (_, k) => k)

describe('groups', () => {
  test('cut a large parameter into blocks of rows within its parts, and pack what may not be cut', () => {
    const parameters: Parameter[] = [
      { name: 'w', dims: [300, 400], parts: 2 },
      { name: 'whole', dims: [300, 400] },
      { name: 'b', dims: [300], parts: 1 },
    ]
    const groups = parameterGroups(parameters, 30_000)
    // Blocks of 64 rows of 400; 150 rows a part.
    const cut = (part: number) =>
      [
        [0, 64],
        [64, 128],
        [128, 150],
      ].map(([start, end]) => ({ part, start, end }))
    const blocks = groups.flatMap((group) => group.blocks)
    expect(
      blocks
        .filter(({ name }) => name === 'w')
        .map(({ part, start, end }) => ({ part, start, end })),
    ).toEqual([...cut(0), ...cut(1)])
    expect(groups.at(-1)).toMatchObject({
      name: 'small',
      size: 300 * 400 + 300,
      blocks: [{ name: 'whole', dims: [300, 400] }, { name: 'b' }],
    })
    expect(groups).toHaveLength(7)
  })

  test('without small parameters have none for them', () => {
    const groups = parameterGroups([{ name: 'w', dims: [300, 400], parts: 1 }], Infinity)
    expect(groups.map(({ blocks }) => blocks.map(({ dims }) => dims))).toEqual([[[300, 400]]])
  })

  test('hold a matrix that is trained as its transpose by its columns', () => {
    const parameters = [{ name: 'w', dims: [2, 4], isTransposed: true, parts: 2 }] as const
    const groups = parameterGroups(parameters, Infinity)
    const values = { w: numbers(8) }
    const packed = packParameters(parameters, groups, values)
    // [[0 1 2 3] [4 5 6 7]]: columns 0 and 1, then 2 and 3.
    expect(groups[0]?.blocks.map(({ part, dims }) => [part, dims])).toEqual([
      [0, [2, 2]],
      [1, [2, 2]],
    ])
    expect([...(packed.get('small') ?? [])]).toEqual([0, 4, 1, 5, 2, 6, 3, 7])
    expect(unpackParameters(parameters, groups, packed)).toEqual(values)
    expect([...values.w]).toEqual([...numbers(8)])
  })

  test('take parameters of any rank, or none', () => {
    const parameters = [
      { name: 'cube', dims: [2, 3, 4] },
      { name: 'scalar', dims: [] },
    ] as const
    const groups = parameterGroups(parameters, 10)
    const values = { cube: numbers(24), scalar: Float32Array.of(7) }
    const packed = packParameters(parameters, groups, values)
    expect(unpackParameters(parameters, groups, packed)).toEqual(values)
  })
})
