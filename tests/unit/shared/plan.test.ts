import { METHODS, type LearnedMethodSpec, type MethodSpec } from '@shared/methods'
import { defaultGaps, formatGaps, parseGaps } from '@shared/methods/gaps'
import { planExpansion } from '@shared/plan'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { describe, expect, test } from 'vitest'

const lesa = (gaps?: number[]): LearnedMethodSpec => ({
  name: 'lesa',
  useSvd: true,
  energy: 1,
  predictor: PRESET_SETTINGS.paper,
  ...(gaps ? { gaps } : {}),
})

describe('gaps', () => {
  test('default to the later half, ending before the last layer, as in the paper', () => {
    expect(defaultGaps(32)).toEqual(Array.from({ length: 16 }, (_, i) => 15 + i))
    expect(defaultGaps(12)).toEqual([5, 6, 7, 8, 9, 10])
    expect(defaultGaps(3)).toEqual([1])
  })

  test('are read as ranges and lists, and written back', () => {
    expect(parseGaps('5-10')).toEqual([5, 6, 7, 8, 9, 10])
    expect(parseGaps('3, 7,7')).toEqual([3, 7, 7])
    expect(formatGaps([5, 6, 7, 9, 9])).toBe('5-7,9,9')
  })

  test.each(['', '5-', '7-5', 'a', '1,,2', '-3', '1.5', '0-999999999'])('%o is refused', (text) => {
    expect(() => parseGaps(text)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  })
})

describe('the plan of each method for 12 layers', () => {
  const sources = (spec: MethodSpec): number[] =>
    planExpansion(spec, 12).layers.map(({ source }) => source)

  test('LESA puts one computed layer into each of the later gaps', () => {
    const plan = planExpansion(lesa(), 12)
    expect(plan.layers).toHaveLength(18)
    expect(plan.newLayers).toEqual([6, 8, 10, 12, 14, 16])
    expect(plan.layers[6]).toEqual({
      kind: 'computed',
      source: 5,
      left: 5,
      right: 7,
      gap: 5,
      sides: [5, 6],
      depth: 0,
      position: 0.5,
      label: '5½',
    })
  })

  test('several layers in one gap are reached by bisection', () => {
    const plan = planExpansion(lesa([7, 7, 7]), 12)
    expect(plan.newLayers).toEqual([8, 9, 10])
    expect(plan.layers.slice(8, 11)).toEqual([
      {
        kind: 'computed',
        source: 7,
        left: 7,
        right: 9,
        gap: 7,
        sides: [7, 8],
        depth: 1,
        position: 0.25,
        label: '7·1',
      },
      {
        kind: 'computed',
        source: 7,
        left: 7,
        right: 11,
        gap: 7,
        sides: [7, 8],
        depth: 0,
        position: 0.5,
        label: '7·2',
      },
      {
        kind: 'computed',
        source: 7,
        left: 9,
        right: 11,
        gap: 7,
        sides: [7, 8],
        depth: 1,
        position: 0.75,
        label: '7·3',
      },
    ])
  })

  test('LLaMA Pro: an identity layer after each of N/4 groups', () => {
    const plan = planExpansion({ name: 'llama-pro' }, 12)
    expect(plan.newLayers).toEqual([4, 9, 14])
    expect(plan.layers[4]).toEqual({ kind: 'identity', source: 3, label: '3+' })
  })

  test('LLaMA Pro: identity layers in exactly the gaps that are named', () => {
    const plan = planExpansion({ name: 'llama-pro', gaps: [7, 11, 5, 7] }, 12)
    expect(plan.resolved).toEqual({ gaps: [5, 7, 7, 11] })
    expect(plan.newLayers.map((index) => plan.layers[index])).toEqual([
      { kind: 'identity', source: 5, label: '5+' },
      { kind: 'identity', source: 7, label: '7+1' },
      { kind: 'identity', source: 7, label: '7+2' },
      { kind: 'identity', source: 11, label: '11+' },
    ])
  })

  test('LLaMA Pro: groups or gaps, not both, and gaps within the model', () => {
    expect(() => planExpansion({ name: 'llama-pro', groups: 2, gaps: [3] }, 12)).toThrow(
      expect.objectContaining({
        code: 'bad_request',
        context: { field: 'groups', expected: 'either groups or gaps', actual: 'both' },
      }),
    )
    expect(() => planExpansion({ name: 'llama-pro', gaps: [12] }, 12)).toThrow('gaps within 0-11')
  })

  test('LLaMA Pro: group sizes differ by at most one', () => {
    const ends = planExpansion({ name: 'llama-pro', groups: 5 }, 12).resolved['after'] as number[]
    const sizes = ends.map((end, index) => end - (ends[index - 1] ?? -1))
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(12)
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
  })

  test('SOLAR: the first 9 layers, then the last 9', () => {
    expect(sources({ name: 'solar' })).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ])
    expect(planExpansion({ name: 'solar' }, 12).newLayers).toEqual([9, 10, 11, 12, 13, 14])
    expect(planExpansion({ name: 'solar', overlap: 8 }, 32).layers).toHaveLength(48)
  })

  test('interpolation copies the layer before each gap, the last layer included', () => {
    expect(sources({ name: 'interpolation', gaps: [0, 11] })).toEqual([
      0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11,
    ])
  })

  test('stack repeats the later half once', () => {
    expect(sources({ name: 'stack' })).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 6, 7, 8, 9, 10, 11,
    ])
    expect(sources({ name: 'stack', repeat: [2, 3] })).toEqual([
      0, 1, 2, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ])
  })

  test('every method keeps every original layer once, in order', () => {
    for (const name of METHODS) {
      const spec: MethodSpec =
        name === 'noise' || name === 'lesa'
          ? { ...lesa(), name }
          : name === 'fitted'
            ? { name, rounds: 1 }
            : name === 'opt-deus'
              ? { name, asPublished: false }
              : { name }
      for (const depth of [3, 4, 5, 7, 12, 33]) {
        const originals = planExpansion(spec, depth).layers.flatMap((layer) =>
          layer.kind === 'original' ? [layer.source] : [],
        )
        expect([...originals].sort((a, b) => a - b)).toEqual(
          Array.from({ length: depth }, (_, i) => i),
        )
      }
    }
  })
})

test.each<[string, MethodSpec, string[]]>([
  ['alone', lesa([1]), ['0', '1', '1½', '2', '3']],
  ['two', lesa([0, 0]), ['0', '0·1', '0·2', '1', '2', '3']],
  ['three', lesa([1, 1, 1]), ['0', '1', '1·1', '1·2', '1·3', '2', '3']],
  ['five', lesa([2, 2, 2, 2, 2]), ['0', '1', '2', '2·1', '2·2', '2·3', '2·4', '2·5', '3']],
  ['copies', { name: 'solar', overlap: 1 }, ['0', '1', '2', '1+', '2+', '3']],
  [
    'several copies of one',
    { name: 'interpolation', gaps: [1, 1, 2] },
    ['0', '1', '1+1', '1+2', '2', '2+', '3'],
  ],
  ['identity copies', { name: 'llama-pro', groups: 2 }, ['0', '1', '1+', '2', '3', '3+']],
])('layers are labelled by the base layers they come from: %s', (_, spec, labels) => {
  expect(planExpansion(spec, 4).layers.map(({ label }) => label)).toEqual(labels)
})

test.each<MethodSpec>([
  lesa(Array.from({ length: 12 }, () => 1)),
  { name: 'interpolation', gaps: [0, 0, 0, 1, 1, 3] },
  { name: 'solar', overlap: 1 },
  { name: 'llama-pro', groups: 3 },
])('no two layers have one label: %j', (spec) => {
  const labels = planExpansion(spec, 6).layers.map(({ label }) => label)
  expect(new Set(labels).size).toBe(labels.length)
  // Those of one place stand in their order, also where they are sorted as text with numbers.
  const ofOne = labels.filter((label) => label.startsWith('1'))
  const sorted = [...ofOne].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  if (spec.name !== 'solar') expect(ofOne).toEqual(sorted)
})

describe('what does not fit the model is refused', () => {
  test.each<[string, MethodSpec, number]>([
    ['a gap after the last layer', lesa([11]), 12],
    ['no gaps at all', lesa([]), 12],
    ['a model of two layers', lesa(), 2],
    ['holding out the first layer', { ...lesa(), holdout: [0] }, 12],
    ['holding out the last layer', { ...lesa(), holdout: [3, 11] }, 12],
    ['holding out the only inner layer', { ...lesa(), holdout: [1] }, 3],
    ['holding out one of four layers', { ...lesa(), holdout: [1] }, 4],
    ['holding out the layer that all samples have', { ...lesa(), holdout: [2] }, 5],
    ['holding out a layer twice', { ...lesa(), holdout: [3, 3] }, 12],
    ['more groups than layers', { name: 'llama-pro', groups: 13 }, 12],
    ['an overlap of more than half', { name: 'solar', overlap: 7 }, 12],
    ['an overlap that leaves nothing to add', { name: 'solar', overlap: 6 }, 12],
    ['an overlap that leaves nothing of an odd depth', { name: 'solar', overlap: 3 }, 5],
    ['a group beyond the last layer', { name: 'stack', repeat: [8, 12] }, 12],
    ['a group that ends before it begins', { name: 'stack', repeat: [8, 7] }, 12],
    ['interpolation after a layer that is not there', { name: 'interpolation', gaps: [12] }, 12],
  ])('%s', (_, spec, depth) => {
    expect(() => planExpansion(spec, depth)).toThrow(
      expect.objectContaining({ code: 'bad_request' }),
    )
  })
})
