import {
  describeJob,
  JOB_KINDS,
  jobSpecSchema,
  kindOf,
  newJob,
  pathsOf,
  resolvePaths,
  type JobKindName,
  type JobSpec,
  type SpecOf,
} from '@shared/jobs'
import type { PathRole } from '@shared/jobs/kind'
import { describe, expect, it } from 'vitest'
import { loadRunner } from '../../../../src/main/engine/process/runJob'
import {
  evaluateSpec,
  expandSpec,
  generateSpec,
  placeSpec,
  pretrainSpec,
} from '../../../support/specs'

const output = { out: '/out', overwrite: false, maxShardBytes: 5e9 }
const { method, rest, dtype, device, seed } = expandSpec()
const growth = { model: '/base', method, rest, dtype, device, seed }

const SPECS: { readonly [K in JobKindName]: SpecOf<K> } = {
  expand: expandSpec({ model: '/base', out: '/out', job: '/work' }),
  evaluate: evaluateSpec({ models: ['/base', '/grown'], text: '/text' }),
  synth: { kind: 'synth', like: { config: '/config' }, ...output, dtype: 'bf16', seed: 0 },
  stages: { kind: 'stages', ...growth, job: '/work', only: ['q_proj', 'k_proj'] },
  assemble: { kind: 'assemble', job: '/work', ...output },
  statistics: { kind: 'statistics', model: '/base', file: '/cache.json' },
  export: {
    kind: 'export',
    model: '/grown',
    base: '/base',
    ...output,
    dtype: 'keep',
    grown: { spec: expandSpec(), result: {} as never },
    perplexities: [],
  },
  analyse: { kind: 'analyse', model: '/grown', before: '/analysis.json' },
  pretrain: pretrainSpec({
    models: [{ path: '/grown', name: 'grown' }],
    base: '/base',
    texts: ['/texts'],
    evalText: '/eval',
    forgettingText: '/old',
    job: '/work',
    out: '/out',
  }),
  generate: generateSpec({ models: ['/base', '/grown'] }),
  place: placeSpec({ model: '/base', text: '/text', candidates: ['/grown'] }),
  descent: { kind: 'descent', trained: '/trained', start: '/grown' },
}

const kinds = Object.keys(JOB_KINDS) as JobKindName[]

describe('the kinds of jobs', () => {
  it.each(kinds)('%s is registered under its name and has a generator', async (name) => {
    expect(JOB_KINDS[name].kind).toBe(name)
    expect(kindOf(SPECS[name])).toBe(JOB_KINDS[name])
    expect(await loadRunner(name)).toBeTypeOf('function')
  })

  it.each<[JobKindName, Record<PathRole, string[]>]>([
    ['expand', { reads: ['/base'], writes: ['/out'], keeps: ['/work'] }],
    ['evaluate', { reads: ['/base', '/grown', '/text'], writes: [], keeps: [] }],
    ['synth', { reads: ['/config'], writes: ['/out'], keeps: [] }],
    ['stages', { reads: ['/base'], writes: [], keeps: ['/work'] }],
    ['assemble', { reads: [], writes: ['/out'], keeps: ['/work'] }],
    ['statistics', { reads: ['/base'], writes: [], keeps: ['/cache.json'] }],
    ['export', { reads: ['/grown', '/base'], writes: ['/out'], keeps: [] }],
    ['analyse', { reads: ['/grown', '/analysis.json'], writes: [], keeps: [] }],
    [
      'pretrain',
      { reads: ['/grown', '/base', '/texts', '/eval', '/old'], writes: ['/out'], keeps: ['/work'] },
    ],
    ['generate', { reads: ['/base', '/grown'], writes: [], keeps: [] }],
    ['place', { reads: ['/base', '/text', '/grown'], writes: [], keeps: [] }],
    ['descent', { reads: ['/trained', '/grown'], writes: [], keeps: [] }],
  ])('%s says what it reads and writes', (name, paths) => {
    for (const role of ['reads', 'writes', 'keeps'] as const) {
      expect(pathsOf(SPECS[name], role), role).toEqual(paths[role])
    }
  })

  it('have no other path than that: all of them are resolved', async () => {
    for (const name of kinds.filter((kind) => 'schema' in JOB_KINDS[kind])) {
      const resolved = await resolvePaths(SPECS[name], (path) => Promise.resolve(`/home${path}`))
      const texts = JSON.stringify(resolved).match(/"\/[^"]*"/g) ?? []
      expect(texts.length, name).toBeGreaterThan(0)
      expect(texts.every((text) => text.startsWith('"/home/'))).toBe(true)
    }
    await expect(
      resolvePaths(SPECS.expand, () => Promise.reject(new Error('denied'))),
    ).rejects.toThrow('denied')
  })

  it('can be asked for from outside, but for what only the program makes', () => {
    const asked = kinds.filter((name) => jobSpecSchema.safeParse(SPECS[name]).success)
    expect(asked).toEqual([
      'expand',
      'evaluate',
      'synth',
      'stages',
      'assemble',
      'pretrain',
      'generate',
      'place',
      'descent',
    ])
    expect(jobSpecSchema.safeParse({ ...SPECS.expand, seed: -1 }).error?.issues[0]?.path).toEqual([
      'seed',
    ])
  })

  it('share a queue, but for what only reads', () => {
    expect(kinds.filter((name) => JOB_KINDS[name].lane === 'light')).toEqual([
      'statistics',
      'analyse',
      'descent',
    ])
  })

  it.each<[JobSpec, string, string]>([
    [SPECS.expand, 'Growing with SOLAR', 'growing the model'],
    [SPECS.evaluate, 'Measuring perplexity of 2 models', 'measuring perplexity'],
    [evaluateSpec(), 'Measuring perplexity of base', 'measuring perplexity'],
    [SPECS.synth, 'Writing out', 'writing a synthetic checkpoint'],
    [SPECS.stages, 'Computing q_proj, k_proj', 'computing weight types'],
    [SPECS.assemble, 'Assembling out', 'writing the checkpoint'],
    [SPECS.statistics, 'Statistics of base', 'reading the weights'],
    [SPECS.export, 'Exporting to out', 'exporting the model'],
    [SPECS.analyse, 'Measuring layers', 'measuring layers'],
    [SPECS.pretrain, 'Training grown', 'training the new layers'],
    [SPECS.generate, 'Continuing a text with 2 models', 'continuing a text'],
    [generateSpec(), 'Continuing a text with base', 'continuing a text'],
    [SPECS.place, 'Measuring places in base', 'measuring places'],
    [SPECS.descent, 'Comparing trained with its start', 'comparing weights'],
  ])('say what they do: $kind', (spec, title, doing) => {
    expect(describeJob(newJob('a', spec, 0))).toBe(title)
    expect(kindOf(spec).doing).toBe(doing)
  })

  it('name the run that grows', () => {
    const owner = { project: '0123456789abcdef', run: '001-solar' }
    expect(describeJob(newJob('a', SPECS.expand, 0, owner))).toBe('001-solar: growing with SOLAR')
    expect(describeJob(newJob('a', SPECS.export, 0, owner))).toBe('Exporting to out')
    expect(describeJob(newJob('a', SPECS.analyse, 0, owner))).toBe('001-solar: measuring layers')
  })

  it('name the training that trains', () => {
    const owner = { project: '0123456789abcdef', training: '001-training', name: 'Race, Demo' }
    const race = pretrainSpec({
      models: ['a', 'b'].map((name) => ({ path: `/${name}`, name })),
    })
    expect(describeJob(newJob('a', race, 0, owner))).toBe('Race, Demo: training 2 models')
  })
})
