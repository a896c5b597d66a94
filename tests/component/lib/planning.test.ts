import { DEFAULT_DRAFT, type ProjectDraft } from '@shared/projects'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { formatNumber } from '@shared/units'
import { describe, expect, it } from 'vitest'
import { changedSettings } from '../../../src/renderer/src/lib/changedSettings'
import {
  countsOf,
  describeLayers,
  everyKth,
  gapsOf,
  withRange,
} from '../../../src/renderer/src/lib/gaps'
import {
  isChanged,
  NUMBER_FIELDS,
  parseField,
  resetPatch,
  stepsOf,
  textOf,
} from '../../../src/renderer/src/lib/parameterFields'
import { formatWhen } from '../../../src/renderer/src/lib/time'
import { modelSummary } from '../../support/summaries'

describe('gaps', () => {
  it('go to counts and back, sorted', () => {
    expect(countsOf([5, 1, 5], 7)).toEqual([0, 1, 0, 0, 0, 2, 0])
    expect(gapsOf(countsOf([5, 1, 5], 7))).toEqual([1, 5, 5])
  })

  it('that another method cannot fill are left out', () => {
    expect(countsOf([3, 11], 11)).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
  })

  it('are filled as a range from either end', () => {
    expect(withRange([0, 0, 0, 0, 1], 3, 1, 2)).toEqual([0, 2, 2, 2, 1])
  })

  it('are every k-th one, counted from the last', () => {
    expect(everyKth(11, 1)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(everyKth(11, 4)).toEqual([2, 6, 10])
    expect(everyKth(11, 11)).toEqual([10])
  })
})

describe('layers in a list', () => {
  it('are as few words as tell all of them', () => {
    expect(describeLayers([])).toBe('')
    expect(describeLayers([4])).toBe('4')
    expect(describeLayers([6, 8, 10])).toBe('6, 8, 10')
    expect(describeLayers([5, 6, 7, 9, 12, 13])).toBe('5–7, 9, 12–13')
    const every = (step: number, from: number, count: number): number[] =>
      Array.from({ length: count }, (_, index) => from + step * index)
    expect(describeLayers(every(2, 64, 64))).toBe('64–190, every second (64)')
    expect(describeLayers(every(4, 3, 12))).toBe('3–47, every 4th (12)')
    expect(describeLayers([1, ...every(2, 6, 8), 90])).toBe('1; 6–20, every second; 90 (10)')
    const uneven = every(1, 1, 40).map((n) => n * n)
    expect(describeLayers(uneven)).toBe('1, 4, 9, 16, 25, 36, 49, 64 … (40)')
  })
})

describe('what is not as the defaults are', () => {
  const changed = (changes: Partial<ProjectDraft>) =>
    changedSettings({ ...DEFAULT_DRAFT, ...changes }, 12).map(
      ({ label, value, usual }) => `${label}: ${value}, not ${usual}`,
    )

  it('is all said, whatever it is', () => {
    expect(changed({})).toEqual(['Held-out layers: none, not 6'])
    expect(changed({ holdout: [6] })).toEqual([])
    expect(changed({ holdout: [6], gaps: [5, 6, 7, 8, 9, 10] })).toEqual([])
    expect(
      changed({
        holdout: [5],
        energy: 0.9,
        useSvd: false,
        rest: 'first',
        device: 'cpu',
        seed: 3,
        predictor: { ...PRESET_SETTINGS.paper, learningRate: 0.015 },
      }),
    ).toHaveLength(7)
    expect(
      changed({ holdout: [6], predictor: { ...PRESET_SETTINGS.paper, learningRate: 0.015 } }),
    ).toEqual(['Learning rate: 0.015, not 0.001'])
  })

  it('is against the preset that is chosen, and only what the method has', () => {
    const matched = { preset: 'matched', predictor: PRESET_SETTINGS.matched } as const
    expect(changed({ holdout: [6], ...matched })).toEqual([])
    expect(changed({ method: 'solar', seed: 3, rest: 'first', holdout: [4] })).toEqual([])
    expect(changed({ method: 'solar', overlap: 1 })).toEqual(['Overlap: 1, not 3'])
  })
})

describe('parameters as text', () => {
  const draft = DEFAULT_DRAFT
  const parse = (field: (typeof NUMBER_FIELDS)[number], text: string, of: ProjectDraft = draft) =>
    parseField(field, text, of, 12)

  it('are read back as they are shown', () => {
    for (const field of NUMBER_FIELDS) {
      const found = parse(field, textOf(field, draft))
      expect(found, field).toHaveProperty('patch')
      expect({ ...draft, ...('patch' in found ? found.patch : {}) }, field).toEqual(draft)
    }
  })

  it('are taken within their range and refused outside of it', () => {
    const good = [
      ['lambda', '0'],
      ['lambda', '1'],
      ['learningRate', '2e-3'],
      ['beta1', '0'],
      ['hiddenSize', '8192'],
      ['learningRate', '0,001'],
      ['energy', '1'],
      ['holdout', '10'],
      ['holdout', '3, 9,6'],
      ['holdout', 'some'],
      ['seed', '4294967295'],
    ] as const
    const bad = [
      ['lambda', '1.1'],
      ['lambda', ''],
      ['learningRate', '0'],
      ['beta1', '1'],
      ['hiddenSize', '8193'],
      ['hiddenSize', '2.5'],
      ['hiddenSize', '8,192'],
      ['length', '1.500'],
      ['learningRate', '1,500'],
      ['energy', '0'],
      ['holdout', '11'],
      ['holdout', '3,,6'],
      ['holdout', '3-6'],
      ['holdout', '1e0'],
      ['holdout', '0'],
      ['seed', '-1'],
      ['length', '1e9'],
      ['length', 'long'],
    ] as const
    for (const [field, text] of good) {
      expect(parse(field, text), `${field} ${text}`).toHaveProperty('patch')
    }
    for (const [field, text] of bad) {
      expect(parse(field, text), `${field} ${text}`).toHaveProperty('error')
    }
  })

  it('are read with a decimal comma as with a point', () => {
    for (const text of ['0,001', '0.001', '1e-3']) {
      expect(parse('learningRate', text)).toEqual({
        patch: { predictor: { ...draft.predictor, learningRate: 0.001 } },
      })
    }
    expect(parse('hiddenSize', '1,024')).toEqual({
      error: 'Write 1024 or 1.024: with a separator it could be either.',
    })
  })

  it('change the field they belong to, and nothing beside it', () => {
    expect(parse('lambda', '5e-4')).toEqual({
      patch: { predictor: { ...draft.predictor, lambda: 5e-4 } },
    })
    expect(parse('holdout', '')).toEqual({ patch: { holdout: null } })
    expect(parse('holdout', '9, 3')).toEqual({ patch: { holdout: [3, 9] } })
    expect(parse('holdout', ' some')).toEqual({ patch: { holdout: [3, 6, 9] } })
  })

  it('are written as papers write them', () => {
    expect(formatNumber(0.00005)).toBe('5e-5')
    expect(formatNumber(0.001)).toBe('0.001')
    expect(formatNumber(0)).toBe('0')
  })

  it('are known as changed against their preset, and go back to it', () => {
    const changed: ProjectDraft = {
      ...draft,
      preset: 'notebook',
      predictor: { ...PRESET_SETTINGS.notebook, batchSize: 128 },
      seed: 7,
    }
    expect(isChanged('holdout', { ...changed, ...resetPatch('holdout', changed, 12) }, 12)).toBe(
      false,
    )
    expect(isChanged('holdout', changed, 12)).toBe(true)
    expect(NUMBER_FIELDS.filter((field) => isChanged(field, changed, 4))).toEqual([
      'batchSize',
      'seed',
    ])
    const reset = { ...changed, ...resetPatch('batchSize', changed, 4) }
    expect(reset.predictor).toEqual(PRESET_SETTINGS.notebook)
    expect(isChanged('seed', { ...changed, ...resetPatch('seed', changed, 4) }, 4)).toBe(false)
  })

  it('say how long the shortest and the longest training is', () => {
    // 10 layers between two others; 64 and 344 directions of k_proj and gate_proj in batches of 64.
    expect(stepsOf(draft, modelSummary())).toEqual({ low: 50, high: 270, isShort: true })
    const matched = { ...draft, predictor: PRESET_SETTINGS.matched }
    expect(stepsOf(matched, modelSummary())).toEqual({
      low: 10_000,
      high: 10_000,
      isShort: false,
    })
    // The predictor that is used sees held-out layers too.
    expect(stepsOf({ ...draft, holdout: [5] }, modelSummary())).toMatchObject({ low: 50 })
  })
})

describe('times', () => {
  const now = new Date(2026, 4, 20, 14, 30).getTime()

  it('are said as people say them', () => {
    expect(formatWhen(now - 20_000, now)).toBe('just now')
    expect(formatWhen(now - 12 * 60_000, now)).toBe('12 min ago')
    expect(formatWhen(now - 3 * 3_600_000, now)).toBe('today, 11:30')
    expect(formatWhen(now - 20 * 3_600_000, now)).toBe('yesterday, 18:30')
    expect(formatWhen(new Date(2025, 2, 3).getTime(), now)).toBe('3 Mar 2025')
  })
})
