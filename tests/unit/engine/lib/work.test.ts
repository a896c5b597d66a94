import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { describe, expect, it } from 'vitest'
import { predictorParameters, weightOf } from '../../../../src/main/engine/lib/work'

describe('work as a weight', () => {
  it('is nothing for nothing', () => {
    expect(weightOf({})).toBe(0)
  })

  it('adds products, eigenproblems, moved bytes and training steps, in operations', () => {
    expect(weightOf({ products: 7e9 })).toBe(7e9)
    expect(weightOf({ eigenproblem: 10 })).toBe(18_000)
    expect(weightOf({ converted: 3, copied: 2 })).toBe(500)
    const settings = { ...PRESET_SETTINGS.paper, hiddenSize: 4, batchSize: 10 }
    expect(predictorParameters(8, 4)).toBe(4 * (2 * 8) + 4 * 4 + 4 * 8)
    expect(weightOf({ training: { steps: 5, width: 8, settings } })).toBe(5 * 112 * (60 + 400))
    expect(weightOf({ products: 7e9, copied: 2 })).toBe(7e9 + 200)
  })
})
