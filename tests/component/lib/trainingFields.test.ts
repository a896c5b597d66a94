import { describe, expect, it } from 'vitest'
import {
  defaultText,
  isChanged,
  parseField,
  stepsOf,
  textOf,
  TRAINING_PRESET_OPTIONS,
  TYPED_FIELDS,
  withPreset,
  type TrainingOptions,
  type TypedField,
} from '../../../src/renderer/src/lib/trainingFields'
import { trainingSettingsSchema } from '@shared/trainings'

const USUAL = TRAINING_PRESET_OPTIONS.try

function taken(field: TypedField, text: string, options = USUAL): TrainingOptions {
  const found = parseField(field, text, options)
  if ('error' in found) throw new Error(`${field}: ${found.error}`)
  return found.options
}

const refused = (field: TypedField, text: string, options = USUAL): string => {
  const found = parseField(field, text, options)
  return 'error' in found ? found.error : ''
}

describe('the settings of a training', () => {
  it.each(Object.entries(TRAINING_PRESET_OPTIONS))(
    'of “%s” are what the program takes',
    (_, options) => {
      const settings = { ...options, runs: ['001-lesa'], texts: [{ path: '/t.txt' }] }
      expect(trainingSettingsSchema.parse(settings)).toEqual(settings)
    },
  )

  it.each(TYPED_FIELDS)('%s is typed as it is written', (field) => {
    for (const options of Object.values(TRAINING_PRESET_OPTIONS)) {
      expect(taken(field, textOf(field, options), options)).toEqual(options)
    }
  })

  it.each([
    ['batch', '4', { batch: 4 }],
    ['weightDecay', '0,1', { weightDecay: 0.1 }],
    ['context', '256', { context: 256 }],
    ['warmup', '0', { warmup: 0 }],
    ['learningRates', '1e-3 0,0003; 1e-4', { learningRates: [1e-3, 3e-4, 1e-4] }],
    ['learningRates', '1e-3 1e-3', { learningRates: [1e-3] }],
    ['train', '7,6,8-9', { train: [6, 7, 8, 9] }],
    ['train', 'new', { train: 'new' }],
    ['amount', '250', { amount: { steps: 250 } }],
    ['textField', ' content ', { textField: 'content' }],
  ] as const)('%s takes “%s”', (field, text, patch) => {
    expect(taken(field, text)).toEqual({ ...USUAL, ...patch })
  })

  it.each([
    ['batch', '0'],
    ['batch', '2.5'],
    ['batch', 'many'],
    ['amount', '1,500'],
    ['beta2', '1'],
    ['outputRateFactor', '0'],
    ['evalShare', '0.6'],
    ['learningRates', ''],
    ['learningRates', '1e-3 x'],
    ['learningRates', '0'],
    ['train', '8-6'],
    ['textField', ' '],
    ['repeats', '17'],
    ['context', '1'],
  ] as const)('%s does not take “%s”, and says so', (field, text) => {
    expect(refused(field, text)).not.toBe('')
  })

  it('follow from the rest where they are left empty', () => {
    const options = taken('context', '', { ...USUAL, context: 64 })
    expect('context' in options).toBe(false)
    expect(defaultText('context', options, 'try', 256)).toBe('256')
    expect(defaultText('context', options, 'try', 131_072)).toBe('1,024')
    expect(defaultText('warmup', options, 'try', 256)).toBe('10')
  })

  it('know their steps where these do not depend on the texts', () => {
    expect(stepsOf(USUAL, 256)).toBe(100)
    expect(stepsOf({ ...USUAL, amount: { tokens: 100_000 } }, 256)).toBe(49)
    expect(stepsOf({ ...USUAL, amount: { epochs: 2 } }, 256)).toBeNull()
  })

  it('are put back one by one', () => {
    const options = { ...USUAL, batch: 2, context: 64 }
    expect(isChanged('batch', options, 'try')).toBe(true)
    expect(isChanged('clip', options, 'try')).toBe(false)
    expect(withPreset('batch', options, 'try')).toEqual({ ...USUAL, context: 64 })
    expect(withPreset('context', options, 'try')).toEqual({ ...USUAL, batch: 2 })
  })
})
