import { formatRelative, readDescent } from '@shared/descent'
import { describe, expect, it } from 'vitest'
import { descentResult, layerChange } from '../../support/descents'

describe('what a training elsewhere changed, in words', () => {
  it('says by how much the new layers moved, and that the originals did not', () => {
    const { lead, sentences, isTouched } = readDescent(descentResult())
    expect(lead).toBe(
      'All 2 new layers were changed, by 10 to 20 % of their norm; every original weight is bit-identical.',
    )
    expect(sentences).toEqual([
      'Layer 3 moved furthest, 20 % of its norm, most of it in up_proj (25 %).',
      'Tensors outside the new layers: 30 bit-identical.',
    ])
    expect(isTouched).toBe(false)
  })

  it('says which originals were touched, and by how much', () => {
    const { lead, sentences, isTouched } = readDescent(
      descentResult({
        layers: [
          layerChange(0, { relative: 0.002, part: 0.01 }),
          layerChange(1, { isNew: true, relative: 0.1 }),
          layerChange(2),
          layerChange(3, { isNew: true }),
        ],
        outside: [{ tensor: 'model.norm.weight', change: 1, norm: 10, relative: 0.1, max: 0.5 }],
      }),
    )
    expect(lead).toBe(
      '1 of 2 new layers was changed, by 10 % of its norm; original layer 0 and model.norm.weight were changed too.',
    )
    expect(sentences.slice(0, 4)).toEqual([
      'New layer 3 is as it was.',
      'Layer 1 moved, 10 % of its norm, most of it in up_proj (10 %).',
      'Layer 0 is an original and moved by 0.2 % of its norm: up_proj 1 %.',
      'model.norm.weight moved by 10 % of its norm.',
    ])
    expect(isTouched).toBe(true)
  })

  it('says what conversion and rounding left', () => {
    const dtypes = { start: ['BF16'], trained: ['F32'] }
    expect(readDescent(descentResult({ identical: 0, converted: 30, dtypes })).lead).toMatch(
      /; every original weight is the start’s, converted from BF16 to F32\.$/,
    )
    const rounded = descentResult({ converted: 30, dtypes, rounded_to: 'F16' })
    expect(readDescent(rounded).lead).toMatch(/rounded from BF16 to F16\.$/)
  })

  it('says that nothing was changed', () => {
    const layers = [0, 1, 2, 3].map((layer) => layerChange(layer, { isNew: layer % 2 === 1 }))
    expect(readDescent(descentResult({ layers }))).toMatchObject({
      lead: 'Nothing was changed: every original weight is bit-identical.',
      sentences: [],
    })
  })

  it('has two digits of a share, and words for what began at zero', () => {
    const of = (relative: number | null, change = 1): string =>
      formatRelative({ relative, change, norm: 1, max: 1 })
    expect([of(0), of(1e-9), of(0.00012), of(0.1234), of(0.996), of(12.34)]).toEqual([
      '0 %',
      '< 0.001 %',
      '0.012 %',
      '12 %',
      '100 %',
      '1234 %',
    ])
    expect([of(null), of(null, 0)]).toEqual(['from zero', '0 %'])
  })
})
