import { heldOut } from '../../../support/heldOut'
import { DEFAULT_DRAFT, runSettingsOf, type Perplexity } from '@shared/projects'
import { DEFAULT_TRAINING } from '@shared/trainings'
import { describe, expect, it } from 'vitest'
import {
  projectFileSchema,
  runFileSchema,
  salvageProject,
  trainingFileSchema,
  type ProjectFile,
  type RunFile,
  type TrainingFile,
} from '../../../../src/main/projects/schemas'
import { TRAINING_RECORD } from '../../../support/projectParts'

const digest = 'a'.repeat(64)

const project: ProjectFile = {
  schema_version: 1,
  name: 'Mine',
  notes: 'n',
  createdAt: 1,
  model: { path: 'model', name: 'base', digest, shape: digest },
  draft: { ...DEFAULT_DRAFT, method: 'solar', overlap: 3 },
  texts: [{ id: '0123456789abcdef', name: 'a.txt', bytes: 3 }],
  perplexities: [
    {
      subject: 'base',
      text: '0123456789abcdef',
      context: 128,
      perLine: false,
      perplexity: null,
      tokens: 1,
      predicted: 1,
      standardError: 0.001,
      losses: null,
      againstBase: null,
      seconds: 0,
      device: 'cpu',
      measuredAt: 2,
    },
  ],
  comparison: null,
  deleted: { runs: 2, trainings: 1 },
}

const run: RunFile = {
  schema_version: 1,
  id: '001-lesa',
  name: 'LESA',
  state: 'succeeded',
  createdAt: 1,
  startedAt: 2,
  endedAt: 3,
  attempts: 1,
  earlierMs: 0,
  settings: runSettingsOf(DEFAULT_DRAFT),
  base: { name: 'base', digest, shape: digest },
  layersBefore: 12,
  layersAfter: 18,
  newLayers: [6],
  versions: { engine: '1', onnxruntime: '1', node: '20' },
  device: { device: 'cpu', reason: 'asked for' },
  timings: [{ id: 'write', label: 'write checkpoint', seconds: 1 }],
  result: {
    kind: 'expand',
    out: '/p/runs/001-lesa/model',
    method: 'lesa',
    num_hidden_layers: 18,
    new_layers: [6],
    parameters: 1,
    bytes: 1,
    shards: 1,
    device: null,
    seed: 0,
    seconds: 1,
    predictors: [
      {
        weightType: 'q_proj',
        rank: 1,
        samples: 1,
        steps: 1,
        lossPerEpoch: [1],
        mse: 1,
        mseOfZero: 1,
        mseOfMean: 1,
        normRatio: 1,
        holdout: heldOut([1, 3], { mse: 1, cosine: 0 }),
      },
    ],
    warnings: ['w'],
  },
  error: { code: 'bug', message: 'm' },
  exports: [
    {
      out: '/o',
      dtype: 'keep',
      bytes: 1,
      at: 1,
      checks: [{ id: 'reopened', state: 'passed', detail: 'd' }],
    },
  ],
  training: {
    training: '001-training',
    trainingName: 'Training',
    run: '002-lesa',
    runName: 'LESA',
    records: [TRAINING_RECORD],
    seconds: 3,
  },
  elsewhere: {
    path: '../trained',
    digest,
    run: '001-lesa',
    runName: 'LESA',
    isTouched: false,
    steps: null,
  },
}

const losses = { loss: { first: 4, last: 3 }, eval: null, forgetting: null }

const training: TrainingFile = {
  schema_version: 1,
  id: '001-training',
  name: 'Training',
  state: 'succeeded',
  createdAt: 1,
  startedAt: 2,
  endedAt: 3,
  attempts: 1,
  earlierMs: 0,
  settings: {
    ...DEFAULT_TRAINING,
    runs: ['002-lesa'],
    texts: [{ text: '0123456789abcdef' }, { path: '/texts' }],
  },
  starts: [{ run: '002-lesa', name: 'LESA', method: 'lesa' }],
  base: { name: 'base', digest, shape: digest },
  versions: null,
  device: null,
  timings: [],
  result: {
    base: { eval: 3, forgetting: null },
    eval_tokens: 31,
    tokens_per_step: 64,
    seconds: 2,
    trial_seconds: 0,
    warnings: [],
    starts: [
      {
        run: '002-lesa',
        out: null,
        seed: 0,
        ...losses,
        steps: 1,
        tokens: 64,
        lr: 0.0002,
        trained_layers: [9],
        trained_parameters: 10,
        seconds: 0.5,
        steps_to_reach: { '003-solar': null, '004-noise': 1.5 },
        diverged: { step: 1, loss: null },
        repeats: [{ seed: 1, ...losses }],
        trials: [{ lr: 0.1, steps: 1, loss: null, seconds: 1 }],
      },
    ],
  },
  error: null,
}

const through = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe('what is stored', () => {
  it('is read as it was written', () => {
    expect(projectFileSchema.parse(through(project))).toEqual(project)
    expect(runFileSchema.parse(through(run))).toEqual(run)
    expect(trainingFileSchema.parse(through(training))).toEqual(training)
  })

  it('lacks nothing where there were no trainings yet', () => {
    const { deleted: _, ...older } = project
    expect(projectFileSchema.parse(through(older)).deleted).toEqual({ runs: 0, trainings: 0 })
    const { training: __, elsewhere: ___, ...grown } = run
    expect(runFileSchema.parse(through(grown))).toMatchObject({ training: null, elsewhere: null })
  })

  it('lacks nothing where a perplexity was measured before its error was', () => {
    const [{ standardError: _, losses: __, againstBase: ___, ...old }] = project.perplexities as [
      Perplexity,
    ]
    const { perplexities } = projectFileSchema.parse(through({ ...project, perplexities: [old] }))
    expect(perplexities).toEqual([{ ...old, standardError: null, losses: null, againstBase: null }])
  })

  it.each([
    { ...project, name: '' },
    { ...project, model: { ...project.model, digest: 'short' } },
    { ...project, draft: { ...project.draft, seed: -1 } },
    { ...project, texts: [{ id: '../../etc/passwd', name: 'a', bytes: 1 }] },
    { ...project, perplexities: [{ ...project.perplexities[0], subject: '../x' }] },
  ])('is refused when it is not sound (project %#)', (value) => {
    expect(projectFileSchema.safeParse(through(value)).success).toBe(false)
  })

  it.each([
    { ...run, id: '../001' },
    { ...run, state: 'exploded' },
    { ...run, settings: { ...run.settings, method: { name: 'magic' } } },
    { ...run, result: { ...run.result, predictors: [{}] } },
  ])('is refused when it is not sound (run %#)', (value) => {
    expect(runFileSchema.safeParse(through(value)).success).toBe(false)
  })

  it.each([
    { ...training, id: '001-lesa' },
    { ...training, settings: { ...training.settings, runs: [] } },
    { ...training, settings: { ...training.settings, texts: [{ text: '../x' }] } },
    { ...training, starts: [{ run: '002-lesa', name: '', method: 'lesa' }] },
  ])('is refused when it is not sound (training %#)', (value) => {
    expect(trainingFileSchema.safeParse(through(value)).success).toBe(false)
  })
})

describe('salvage', () => {
  it('keeps every part that is sound', () => {
    const damaged = {
      ...project,
      name: 7,
      draft: 'gone',
      texts: [project.texts[0], { id: 'x' }],
      perplexities: 'none',
    }
    expect(salvageProject(through(damaged), 'Folder', 5)).toEqual({
      ...project,
      name: 'Folder',
      draft: DEFAULT_DRAFT,
      perplexities: [],
    })
  })

  it.each([undefined, null, 7, 'text', []])('of %j makes an empty project', (json) => {
    const salvaged = salvageProject(json, 'Folder', 5)
    expect(salvaged).toMatchObject({ name: 'Folder', createdAt: 5, model: { digest: null } })
    expect(projectFileSchema.parse(through(salvaged))).toEqual(salvaged)
  })
})
