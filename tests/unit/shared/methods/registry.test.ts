import {
  DEFAULT_METHOD,
  isLearned,
  learns,
  METHOD_NAMES,
  methodNamed,
  METHODS,
  type LearnedMethodSpec,
  type Method,
  type MethodSpec,
} from '@shared/methods'
import { methodRows } from '@shared/methods/rows'
import { methodSpecSchema } from '@shared/methods/schema'
import { planExpansion } from '@shared/plan'
import { holdoutSteps, PRESET_SETTINGS, trainingSteps } from '@shared/predictorSettings'
import { DEFAULT_DRAFT, projectDraftSchema, runSettingsOf } from '@shared/projects'
import { describe, expect, expectTypeOf, it } from 'vitest'

const lesa: LearnedMethodSpec = {
  name: 'lesa',
  useSvd: true,
  energy: 1,
  predictor: PRESET_SETTINGS.paper,
}

describe('the registry', () => {
  it('offers these methods, in this order', () => {
    expect(METHOD_NAMES).toEqual({
      lesa: 'LESA',
      fitted: 'Fitted',
      'llama-pro': 'LLaMA Pro',
      'opt-deus': 'OpT-DeUS',
      solar: 'SOLAR',
      interpolation: 'Interpolation',
      stack: 'Stack',
      'neighbour-mean': 'Neighbour mean',
      noise: 'Noise control',
    })
    expect(Object.keys(METHOD_NAMES)).toEqual(METHODS)
    expect(DEFAULT_METHOD).toBe('lesa')
  })

  it.each<[Method, { learns: boolean; computes: boolean; keeps: boolean }]>([
    ['lesa', { learns: true, computes: true, keeps: false }],
    ['fitted', { learns: false, computes: false, keeps: false }],
    ['llama-pro', { learns: false, computes: false, keeps: true }],
    ['opt-deus', { learns: false, computes: true, keeps: true }],
    ['solar', { learns: false, computes: false, keeps: false }],
    ['interpolation', { learns: false, computes: false, keeps: false }],
    ['stack', { learns: false, computes: false, keeps: false }],
    ['neighbour-mean', { learns: false, computes: true, keeps: false }],
    ['noise', { learns: true, computes: true, keeps: false }],
  ])('knows what %s is', (name, expected) => {
    const { fill, keepsOutput = false, options } = methodNamed(name)
    expect({ learns: learns(name), computes: fill !== undefined, keeps: keepsOutput }).toEqual(
      expected,
    )
    // What trains has the settings of training, and only that.
    expect('predictor' in options).toBe(expected.learns)
  })

  it.each(METHODS)('draws what %s does with a layout that fits eight layers', (name) => {
    const { plan, drawing, fill, options } = methodNamed(name)
    expect(Object.keys(drawing.layout).every((key) => key in options)).toBe(true)
    const { layers } = plan(drawing.layout, 8)
    expect(layers.length).toBe(12)
    expect(layers.some(({ kind }) => kind === 'computed')).toBe(fill !== undefined)
  })

  it('types specs by the options of their method', () => {
    expectTypeOf<Extract<MethodSpec, { name: 'solar' }>>().toExtend<{
      readonly overlap?: number | undefined
    }>()
    expectTypeOf<{ name: 'solar'; overlap: 2 }>().toExtend<MethodSpec>()
    // @ts-expect-error SOLAR has no groups.
    const wrong: MethodSpec = { name: 'solar', groups: 2 }
    expect(isLearned(wrong)).toBe(false)
  })
})

describe('the schema of a method', () => {
  it.each<[string, unknown]>([
    ['lesa with all it needs', lesa],
    ['every option of a learned method', { ...lesa, name: 'noise', gaps: [1, 1], holdout: [2, 4] }],
    ['groups', { name: 'llama-pro', groups: 1 }],
    ['no overlap at all', { name: 'solar', overlap: 0 }],
    ['a group of layers', { name: 'stack', repeat: [2, 3] }],
    ['transport as published', { name: 'opt-deus', asPublished: true }],
    ['defaults', { name: 'neighbour-mean' }],
  ])('takes %s as it is', (_, spec) => {
    expect(methodSpecSchema.parse(spec)).toEqual(spec)
  })

  it.each<[string, unknown]>([
    ['a method that is not known', { name: 'mirror' }],
    ['lesa without its predictor', { name: 'lesa', useSvd: true, energy: 1 }],
    ['no groups', { name: 'llama-pro', groups: 0 }],
    ['half an overlap', { name: 'solar', overlap: 0.5 }],
    ['a group without an end', { name: 'stack', repeat: [2] }],
    ['no gaps', { name: 'interpolation', gaps: [] }],
    ['no energy', { ...lesa, energy: 0 }],
    ['a learning rate of nothing', withPredictor({ learningRate: 0 })],
    ['β₁ of 1', withPredictor({ beta1: 1 })],
    ['half a batch', withPredictor({ batchSize: 0.5 })],
    ['an endless training', withPredictor({ length: { unit: 'epochs', value: 100_001 } })],
  ])('refuses %s', (_, spec) => {
    expect(methodSpecSchema.safeParse(spec).success).toBe(false)
  })

  it('puts keys in the order of records', () => {
    const { name, gaps, ...others } = { ...lesa, gaps: [1] }
    const shuffled = { holdout: [2], ...others, gaps, name }
    expect(JSON.stringify(methodSpecSchema.parse(shuffled))).toBe(
      '{"name":"lesa","gaps":[1],"useSvd":true,"energy":1,"predictor":{"lambda":0.00005,' +
        '"length":{"unit":"epochs","value":5},"hiddenSize":256,"batchSize":64,"learningRate":0.001,' +
        '"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"weightDecay":0.01},"holdout":[2]}',
    )
  })

  function withPredictor(changes: object): unknown {
    return { ...lesa, predictor: { ...lesa.predictor, ...changes } }
  }
})

describe('a draft', () => {
  it('begins with every option at its default', () => {
    expect(DEFAULT_DRAFT).toEqual({
      method: 'lesa',
      gaps: null,
      keepPattern: null,
      rounds: 1,
      asPublished: false,
      groups: null,
      overlap: null,
      repeat: null,
      preset: 'paper',
      predictor: PRESET_SETTINGS.paper,
      useSvd: true,
      energy: 1,
      holdout: null,
      rest: 'mean',
      calibration: null,
      damp: null,
      align: false,
      also: [],
      device: 'auto',
      seed: 0,
    })
    expect(projectDraftSchema.parse(DEFAULT_DRAFT)).toEqual(DEFAULT_DRAFT)
  })

  it('that was kept before an option existed leaves it to the default', () => {
    const { repeat: _, asPublished: __, ...older } = DEFAULT_DRAFT
    expect(projectDraftSchema.parse(older)).toEqual(DEFAULT_DRAFT)
  })

  it('gives its method what was chosen for it, and nothing of the others', () => {
    const draft = { ...DEFAULT_DRAFT, gaps: [1], groups: 3, repeat: [0, 1] as const, holdout: [2] }
    const methodOf = (method: Method): MethodSpec => runSettingsOf({ ...draft, method }).method
    expect(methodOf('lesa')).toEqual({ ...lesa, gaps: [1], holdout: [2] })
    // Nothing is to be said of a control.
    expect(methodOf('noise')).toEqual({ ...lesa, name: 'noise', gaps: [1] })
    expect(methodOf('llama-pro')).toEqual({ name: 'llama-pro', groups: 3 })
    expect(runSettingsOf({ ...draft, method: 'llama-pro', groups: null }).method).toEqual({
      name: 'llama-pro',
      gaps: [1],
    })
    expect(methodOf('opt-deus')).toEqual({ name: 'opt-deus', gaps: [1], asPublished: false })
    expect(methodOf('solar')).toEqual({ name: 'solar' })
    expect(methodOf('stack')).toEqual({ name: 'stack', repeat: [0, 1] })
    expect(methodOf('neighbour-mean')).toEqual({ name: 'neighbour-mean', gaps: [1] })
  })
})

describe('the rows of a method', () => {
  const rows = (spec: MethodSpec): string[] =>
    methodRows(spec, planExpansion(spec, 12)).map(
      ({ key, label, value, card }) => `${key} ${label}: ${value} | ${card.join(': ')}`,
    )

  it('say what was chosen and what was left to the program', () => {
    expect(rows({ name: 'llama-pro' })).toEqual(['groups Groups: 3 | groups: 3'])
    expect(rows({ name: 'llama-pro', gaps: [3, 4] })).toEqual(['gaps Gaps: 3-4 | gaps: 3-4'])
    expect(rows({ name: 'opt-deus', gaps: [3], asPublished: true })).toEqual([
      'gaps Gaps: 3 | gaps: 3',
      'asPublished As published: yes | as_published: yes',
    ])
    expect(rows({ name: 'solar', overlap: 2 })).toEqual(['overlap Overlap: 2 | overlap: 2'])
    expect(rows({ name: 'stack' })).toEqual(['repeat Repeated layers: 6–11 | repeat: 6, 11'])
    expect(rows({ name: 'interpolation', gaps: [9, 3, 9] })).toEqual([
      'gaps Gaps: 3,9,9 | gaps: 3,9,9',
    ])
  })

  it('name every parameter of a predictor', () => {
    const length = { unit: 'steps', value: 500 } as const
    const spec = {
      ...lesa,
      useSvd: false,
      holdout: [4, 8],
      predictor: { ...lesa.predictor, length },
    }
    expect(rows(spec)).toEqual([
      'gaps Gaps: 5-10 | gaps: 5-10',
      'useSvd SVD: no | decomposition: none (rows of the weights)',
      'energy Energy kept: 1 | energy: 1',
      'lambda λ: 5e-5 | lambda: 0.00005',
      'length Training length: 500 steps | steps: 500',
      'hiddenSize Hidden size: 256 | hidden_size: 256',
      'batchSize Batch size: 64 | batch_size: 64',
      'learningRate Learning rate: 0.001 | learning_rate: 0.001',
      'betas β₁, β₂: 0.9, 0.999 | betas: 0.9, 0.999',
      'epsilon ε: 1e-8 | epsilon: 1e-8',
      'weightDecay Weight decay: 0.01 | weight_decay: 0.01',
      'holdout Held-out layers: 4, 8 | holdout: layers 4, 8',
    ])
  })
})

describe('the number of mini-batches', () => {
  const shape = { rows: 100, width: 40, layerCount: 12 }

  it('follows the samples: directions times layers between two others', () => {
    expect(trainingSteps(lesa, shape)).toBe(5 * Math.ceil((10 * 100) / 64))
    // Trainings without layers 2 to 4, and without 7 to 9.
    const held = { ...lesa, holdout: [3, 8] }
    expect(trainingSteps(held, shape)).toBe(5 * Math.ceil((10 * 100) / 64))
    expect(holdoutSteps(held, shape)).toBe(2 * 5 * Math.ceil((7 * 100) / 64))
  })

  it('counts no more directions than the layers side by side have columns', () => {
    const tall = { rows: 500, width: 10, layerCount: 12 }
    expect(trainingSteps(lesa, tall)).toBe(5 * Math.ceil((10 * 120) / 64))
    expect(trainingSteps({ ...lesa, useSvd: false }, tall)).toBe(5 * Math.ceil((10 * 500) / 64))
  })

  it('is what was asked for in steps', () => {
    const matched = { ...lesa, predictor: PRESET_SETTINGS.matched }
    expect(trainingSteps(matched, shape)).toBe(10_000)
    // Samples are seen as often where some are left out.
    expect(holdoutSteps({ ...matched, holdout: [3] }, shape)).toBe(7_000)
  })
})
