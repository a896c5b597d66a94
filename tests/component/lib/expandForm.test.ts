import { jobSpecSchema } from '@shared/jobs'
import { METHODS } from '@shared/methods'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { describe, expect, it } from 'vitest'
import {
  checkForm,
  defaultsFor,
  newForm,
  predictorOf,
  suggestOutput,
  trainingSteps,
  type ExpandForm,
} from '../../../src/renderer/src/lib/expandForm'
import { modelSummary } from '../../support/summaries'

const model = modelSummary()
const form = (changes: Partial<ExpandForm> = {}): ExpandForm => ({
  ...newForm(),
  out: '/models/grown',
  ...changes,
})

describe('checkForm', () => {
  it.each(METHODS)('makes a spec of %s that the router takes, without any option', (method) => {
    const { spec, plan, errors } = checkForm(form({ method }), model)
    expect(errors).toEqual({})
    expect(plan?.layers.length).toBeGreaterThan(12)
    expect(jobSpecSchema.parse(spec)).toEqual(spec)
    expect(spec).toMatchObject({ kind: 'expand', method: { name: method }, model: model.path })
  })

  it('takes what was typed', () => {
    const { spec } = checkForm(
      form({
        gaps: '3, 7,7',
        preset: 'matched',
        steps: '500',
        energy: '0.99',
        holdout: '4',
        seed: '7',
        overwrite: true,
        dtype: 'f16',
        rest: 'first',
        device: 'cpu',
        out: '  /models/grown ',
      }),
      model,
    )
    expect(spec).toMatchObject({
      method: {
        gaps: [3, 7, 7],
        energy: 0.99,
        holdout: 4,
        predictor: { lambda: 5e-4, length: { unit: 'steps', value: 500 } },
      },
      seed: 7,
      overwrite: true,
      dtype: 'f16',
      rest: 'first',
      device: 'cpu',
      out: '/models/grown',
    })
  })

  it.each([
    ['gaps', { gaps: 'five' }],
    ['gaps', { gaps: '5-11' }],
    ['gaps', { gaps: '0-10000,0-10' }],
    ['groups', { method: 'llama-pro', groups: '13' }],
    ['groups', { method: 'llama-pro', groups: '0' }],
    ['overlap', { method: 'solar', overlap: '7' }],
    ['overlap', { method: 'solar', overlap: '-1' }],
    ['repeat', { method: 'stack', repeat: '8' }],
    ['repeat', { method: 'stack', repeat: '8-12' }],
    ['steps', { steps: '1.5' }],
    ['steps', { steps: '0' }],
    ['energy', { energy: '0' }],
    ['energy', { energy: 'all' }],
    ['energy', { energy: '1.01' }],
    ['holdout', { holdout: '0' }],
    ['holdout', { holdout: '11' }],
    ['seed', { seed: '-1' }],
    ['seed', { seed: '4294967296' }],
    ['out', { out: '  ' }],
  ] as const)('says that %s is wrong in %j', (field, changes) => {
    const { spec, errors } = checkForm(form(changes), model)
    expect(spec).toBeNull()
    expect(Object.keys(errors)).toEqual([field])
    expect(errors[field]).toMatch(/\.$/)
  })

  it('does not mind what other methods’ fields say', () => {
    const { spec } = checkForm(form({ method: 'solar', gaps: 'x', groups: 'y', steps: 'z' }), model)
    expect(spec?.method).toEqual({ name: 'solar' })
  })

  it('says when a model is too shallow for a method', () => {
    const { errors } = checkForm(form(), modelSummary({ num_hidden_layers: 2 }))
    expect(errors.method).toBe('Give a model of at least 3 layers.')
  })
})

describe('what is shown beside it', () => {
  it('are the defaults that the engine will take', () => {
    expect(defaultsFor(12)).toEqual({ gaps: '5-10', groups: '3', overlap: '3', repeat: '6-11' })
    for (const [method, field] of [
      ['lesa', 'gaps'],
      ['llama-pro', 'groups'],
      ['solar', 'overlap'],
      ['stack', 'repeat'],
    ] as const) {
      const typed = checkForm(form({ method, [field]: defaultsFor(12)[field] }), model)
      expect(typed.plan, method).toEqual(checkForm(form({ method }), model).plan)
    }
  })

  it('is how long the predictor trains, and whether that is long enough', () => {
    expect(trainingSteps(PRESET_SETTINGS.paper, model)).toEqual({ steps: 100, isShort: true })
    expect(trainingSteps(PRESET_SETTINGS.notebook, model)).toEqual({ steps: 200, isShort: true })
    expect(trainingSteps(PRESET_SETTINGS.matched, model).isShort).toBe(false)
    expect(trainingSteps(predictorOf(form({ steps: '2000' })), model).isShort).toBe(false)
  })

  it('is an output beside the model, on any system', () => {
    expect(suggestOutput('/models/base', 'lesa', 18, '/')).toBe('/models/base-lesa-18')
    expect(suggestOutput('/models/base//', 'solar', 18, '/')).toBe('/models/base-solar-18')
    expect(suggestOutput('C:\\models\\base', 'stack', 18, '\\')).toBe('C:\\models\\base-stack-18')
  })
})
