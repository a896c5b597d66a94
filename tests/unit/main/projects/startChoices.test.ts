import type { MethodSpec } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import { DEFAULT_DRAFT, runSettingsOf, type RunSettings, type RunSummary } from '@shared/projects'
import type { StartChoice } from '@shared/trainings'
import { describe, expect, it } from 'vitest'
import { startChoices } from '../../../../src/main/projects/startChoices'
import { runSummary } from '../../../support/projects'

const LAYERS = 12

const settingsOf = (method: MethodSpec): RunSettings => ({
  ...runSettingsOf(DEFAULT_DRAFT),
  seed: 7,
  method,
})

const lesa = (gaps?: number[]): RunSettings => {
  const { method } = runSettingsOf({ ...DEFAULT_DRAFT, gaps: gaps ?? null })
  return settingsOf(method)
}

const choices = (like: RunSettings, runs: readonly RunSummary[] = [], layers = LAYERS) =>
  new Map(
    startChoices({ like, layers, draft: DEFAULT_DRAFT, runs }).map((each) => [each.method, each]),
  )

/** The layers that a choice's growth adds, or what else it says. */
function outcome(choice: StartChoice | undefined, layers = LAYERS): unknown {
  if (choice?.state === 'missing') return planExpansion(choice.settings.method, layers).newLayers
  return choice?.state === 'impossible' ? choice.reason : choice
}

function grown(id: string, settings: RunSettings, changes: Partial<RunSummary> = {}): RunSummary {
  const { newLayers, layers } = planExpansion(settings.method, LAYERS)
  return runSummary({
    id,
    method: settings.method.name,
    settings,
    state: 'succeeded',
    newLayers,
    layersAfter: layers.length,
    model: { path: `/runs/${id}/model`, bytes: 1 },
    ...changes,
  })
}

describe('what can be compared with a growth', () => {
  it('has its depth, its gaps, its seed and its predictors', () => {
    const found = choices(lesa([2, 5, 5, 8]))
    const noise = found.get('noise')
    expect(noise?.state === 'missing' && noise.settings).toMatchObject({
      seed: 7,
      method: { name: 'noise', gaps: [2, 5, 5, 8], predictor: DEFAULT_DRAFT.predictor },
    })
    for (const method of [
      'lesa',
      'llama-pro',
      'neighbour-mean',
      'noise',
      'interpolation',
    ] as const) {
      expect(outcome(found.get(method)), method).toEqual([3, 7, 8, 12])
    }
    expect(outcome(found.get('solar'))).toHaveLength(4)
    expect(outcome(found.get('stack'))).toHaveLength(4)
    expect([...found.values()].filter(({ isCompared }) => isCompared)).toHaveLength(5)
    expect(found.get('solar')).toMatchObject({ settings: { method: { overlap: 4 } } })
    expect(found.get('llama-pro')).toMatchObject({
      settings: { method: { name: 'llama-pro', gaps: [2, 5, 5, 8] } },
    })
    expect(
      choices(settingsOf({ name: 'llama-pro', gaps: [11] })).get('interpolation'),
    ).toMatchObject({ settings: { method: { gaps: [11] } } })
  })

  it('keeps the pattern of types where the growth does and the method can, and nowhere else', () => {
    const types = Array.from({ length: LAYERS }, (_, layer) => (layer % 3 === 2 ? 'b' : 'a'))
    const draft = { ...DEFAULT_DRAFT, keepPattern: true } as const
    const of = (like: RunSettings) =>
      new Map(
        startChoices({ like, layers: LAYERS, types, draft, runs: [] }).map((each) => [
          each.method,
          each.state === 'missing' ? each.settings.method : each,
        ]),
      )
    const kept = of(settingsOf({ name: 'interpolation', keepPattern: true, gaps: [3, 7] }))
    for (const method of ['lesa', 'llama-pro', 'neighbour-mean', 'noise', 'opt-deus'] as const) {
      expect(kept.get(method)).toMatchObject({ name: method, keepPattern: true, gaps: [3, 7] })
    }
    // As many layers in the same places.
    expect(kept.get('fitted')).toMatchObject({ gaps: [3, 3, 3, 7, 7, 7] })
    expect(kept.get('fitted')).not.toHaveProperty('keepPattern')
    expect(kept.get('stack')).toMatchObject({ repeat: [6, 11] })
    const groups = of(settingsOf({ name: 'llama-pro', keepPattern: true, groups: 2 }))
    expect(groups.get('interpolation')).toMatchObject({ keepPattern: true, gaps: [5, 11] })
    expect(groups.get('lesa')).toMatchObject({ state: 'impossible' })
    // The draft's own choice is of its own plan.
    const single = of(settingsOf({ name: 'interpolation', gaps: [3, 7] }))
    expect(single.get('neighbour-mean')).toEqual({ name: 'neighbour-mean', gaps: [3, 7] })
  })

  it('does not offer what the model refuses, and says why', () => {
    const refusal = { code: 'unsupported_architecture', message: 'Not these.' } as const
    const found = startChoices({
      like: lesa(),
      layers: LAYERS,
      refused: { fitted: refusal },
      draft: DEFAULT_DRAFT,
      runs: [],
    }).find(({ method }) => method === 'fitted')
    expect(found).toMatchObject({ state: 'impossible', reason: 'Fitted: Not these.' })
  })

  it('takes the later gaps where the growth has none', () => {
    const found = choices(settingsOf({ name: 'llama-pro', groups: 3 }))
    expect(found.get('lesa')).toMatchObject({ settings: { method: { gaps: [8, 9, 10] } } })
    // More than there are gaps: each gets one before any gets two.
    const many = choices(settingsOf({ name: 'solar', overlap: 0 }), [], 4)
    expect(many.get('neighbour-mean')).toMatchObject({
      settings: { method: { gaps: [0, 1, 2, 2] } },
    })
    expect(outcome(many.get('neighbour-mean'), 4)).toHaveLength(4)
  })

  it('says what cannot have that depth, and which it can have', () => {
    const odd = choices(lesa([3, 4, 5]))
    expect(outcome(odd.get('solar'))).toBe('SOLAR: it can add 2 or 4 layers to 12, not 3.')
    const many = choices(lesa(Array.from({ length: 14 }, (_, index) => index % 11)))
    expect(outcome(many.get('llama-pro'))).toHaveLength(14)
    expect(outcome(many.get('solar'))).toBe('SOLAR: it can add 12 layers to 12, not 14.')
    expect(outcome(many.get('stack'))).toBe('Stack: it adds at most 12 layers to 12, not 14.')
    // After the last layer there is nothing to predict from.
    const last = choices(settingsOf({ name: 'interpolation', gaps: [10, 11] }))
    expect(outcome(last.get('lesa'))).toBe('LESA: gaps: expected gaps within 0-10, found 11.')
  })

  it('is a run that has those layers already, the one with the same settings first', () => {
    const like = lesa([3, 4])
    const newer = grown('004-lesa', { ...like, seed: 8 })
    const same = grown('003-lesa', like)
    expect(choices(like, [newer, same]).get('lesa')).toEqual({
      method: 'lesa',
      isCompared: true,
      state: 'grown',
      run: '003-lesa',
    })
    expect(choices(like, [newer]).get('lesa')).toMatchObject({ run: '004-lesa' })
    const mean = settingsOf({ name: 'neighbour-mean', gaps: [3, 4] })
    const open = grown('005-neighbour-mean', mean, { state: 'queued', model: null })
    expect(choices(like, [open]).get('neighbour-mean')).toMatchObject({
      state: 'growing',
      run: '005-neighbour-mean',
    })
  })

  it('is no run that has other layers, was trained, is gone, or had another base', () => {
    const like = lesa([3, 4])
    const others = [
      grown('001-lesa', lesa([3, 5])),
      grown('002-lesa', like, { model: null }),
      grown('003-lesa', like, { state: 'failed', model: null }),
      grown('004-lesa', like, { isOfThisModel: false }),
      grown('005-lesa', like, {
        training: {
          training: '001-training',
          trainingName: 'Training',
          run: '001-lesa',
          runName: 'LESA',
          records: [],
          seconds: 1,
        },
      }),
    ]
    expect(choices(like, others).get('lesa')).toMatchObject({ state: 'missing' })
  })

  it('is nothing for a growth that does not fit the model', () => {
    expect(() => choices(lesa([30]))).toThrow(expect.objectContaining({ code: 'bad_request' }))
  })
})
