import { heldOut } from '../../../support/heldOut'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import type { PredictorReport } from '@shared/jobs'
import { DEFAULT_DRAFT, runSettingsOf, type ProjectDraft, type RunSummary } from '@shared/projects'
import { describe, expect, it } from 'vitest'
import { compareRuns, describeSettings } from '../../../../src/main/projects/compare'
import { TRAINING_RECORD } from '../../../support/projectParts'
import { expandResult } from '../../../support/projects'

const report = (mse: number, holdout?: PredictorReport['holdout']): PredictorReport => ({
  weightType: 'q_proj',
  rank: 1,
  samples: 1,
  steps: 1,
  lossPerEpoch: [],
  mse,
  mseOfZero: 2,
  mseOfMean: 4,
  normRatio: 1,
  ...(holdout ? { holdout } : {}),
})

function run(id: string, draft: Partial<ProjectDraft>, predictors: PredictorReport[]): RunSummary {
  const settings = runSettingsOf({ ...DEFAULT_DRAFT, ...draft })
  return {
    id,
    name: id,
    method: settings.method.name,
    state: 'succeeded',
    job: null,
    createdAt: 0,
    startedAt: 0,
    endedAt: 0,
    settings,
    layersBefore: 12,
    layersAfter: 18,
    newLayers: [6],
    device: null,
    result: expandResult({ method: settings.method.name, predictors }),
    error: null,
    model: null,
    hasAnalysis: false,
    canResume: false,
    isOfThisModel: true,
    exports: [],
    training: null,
    elsewhere: null,
    earlierMs: 0,
  }
}

describe('settings in words', () => {
  it('show what was left to the program with the value it took', () => {
    expect(describeSettings(runSettingsOf({ ...DEFAULT_DRAFT, method: 'solar' }), 12)).toEqual({
      method: 'SOLAR',
      overlap: '3',
      dtype: 'as the base',
      seed: '0',
    })
    expect(describeSettings(runSettingsOf(DEFAULT_DRAFT), 12)).toMatchObject({
      gaps: '5-10',
      length: '5 epochs',
      useSvd: 'yes',
      holdout: 'none',
      betas: '0.9, 0.999',
      lambda: '5e-5',
      rest: 'mean of the neighbours’',
    })
  })
})

describe('a comparison', () => {
  const holdout = heldOut([3], { mse: 1, mseOfZero: 2, cosine: 0.5 })
  const short = run('002-lesa', {}, [report(1), report(4)])
  const long = run('001-lesa', { predictor: PRESET_SETTINGS.matched }, [report(1, holdout)])
  const failed: RunSummary = { ...short, id: '003-lesa', state: 'failed', result: null }
  const measured = {
    subject: '001-lesa',
    text: '0123456789abcdef',
    context: 128,
    perLine: false,
    perplexity: 2,
    tokens: 1,
    predicted: 1,
    standardError: 0.001,
    losses: null,
    againstBase: null,
    seconds: 1,
    device: 'cpu',
    measuredAt: 1,
  }
  const comparison = compareRuns({
    baseName: 'base',
    base: null,
    runs: [failed, short, long],
    perplexities: [measured, { ...measured, subject: 'base', context: 256 }],
    texts: [{ id: '0123456789abcdef', name: 'a.txt', bytes: 1, exists: true }],
  })

  it('has a row for each run that has succeeded', () => {
    expect(comparison.rows.map(({ subject }) => subject)).toEqual(['002-lesa', '001-lesa'])
    expect(comparison.rows[1]?.perplexities).toEqual([measured])
  })

  it('tells which settings differ', () => {
    const differing = comparison.settings.filter(({ differs }) => differs).map(({ key }) => key)
    expect(differing).toEqual(['lambda', 'length'])
  })

  it('sums the predictors up by geometric means', () => {
    expect(comparison.rows[0]?.quality).toEqual({
      errorOverZero: 1,
      errorOverMean: 0.5,
      heldOutOverZero: null,
      heldOutOverMean: null,
      heldOutCosine: null,
    })
    expect(comparison.rows[1]?.quality).toMatchObject({
      heldOutOverZero: 0.5,
      heldOutOverMean: 1,
      heldOutCosine: 0.5,
    })
  })

  it('gives a control no errors of predictions that it does not use', () => {
    const noise = run('004-noise', { method: 'noise' }, [report(1, holdout)])
    const { rows } = compareRuns({
      baseName: 'base',
      base: null,
      runs: [noise, long],
      perplexities: [],
      texts: [],
    })
    expect(rows.map(({ quality }) => quality === null)).toEqual([true, false])
    expect(rows[0]?.verdict).toBeNull()
    expect(rows[1]?.verdict?.outcome).toBe('useful')
  })

  it('tells what was trained since it was grown, whose layers are no predictions any more', () => {
    const [first, second] = [TRAINING_RECORD, { ...TRAINING_RECORD, steps: 20_000 }]
    const trained: RunSummary = {
      ...run('005-lesa', {}, [report(1, holdout)]),
      training: {
        training: '001-training',
        trainingName: 'Training',
        run: '001-lesa',
        runName: 'LESA',
        records: [first, second],
        seconds: 10,
      },
    }
    const { rows, settings } = compareRuns({
      baseName: 'base',
      base: null,
      runs: [trained, long],
      perplexities: [],
      texts: [],
    })
    expect(rows.map((row) => row.settings['training'])).toEqual([
      '1 steps, 64 tokens, rate 2e-4; 20.0 k steps, 64 tokens, rate 2e-4',
      'no',
    ])
    expect(settings.find(({ key }) => key === 'training')?.differs).toBe(true)
    expect(rows.map(({ quality, verdict }) => [quality, verdict === null])).toMatchObject([
      [null, true],
      [{ errorOverZero: 0.5 }, false],
    ])
    expect(rows[0]?.seconds).toBe((long.result?.seconds ?? 0) + 10)
    expect(comparison.settings.map(({ key }) => key)).not.toContain('training')
  })

  it('tells where new layers go apart even where only one method has such a setting', () => {
    const solar = run('004-solar', { method: 'solar' }, [])
    const { settings } = compareRuns({
      baseName: 'base',
      base: null,
      runs: [solar, short],
      perplexities: [],
      texts: [],
    })
    const differing = settings.filter(({ differs }) => differs).map(({ key }) => key)
    expect(differing).toEqual(['method', 'gaps', 'overlap'])
  })

  it('names only what a row was measured on', () => {
    expect(comparison.measurements).toEqual([
      { text: '0123456789abcdef', name: 'a.txt', context: 128, perLine: false, tokens: 1 },
    ])
  })
})
