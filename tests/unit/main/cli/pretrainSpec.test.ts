import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DEFAULT_SHARD_BYTES, type PretrainSpec } from '@shared/jobs'
import { PRETRAIN_DEFAULTS } from '@shared/pretraining'
import { buildPretrainSpec, type PretrainOptions } from '../../../../src/main/cli/pretrainSpec'
import { decimals } from '../../../../src/main/cli/values'

const cwd = resolve('/somewhere')

function build(
  options: Partial<PretrainOptions>,
  names: readonly string[] = ['grown'],
  base?: string,
): PretrainSpec {
  const models = names.map((name, index) => ({ path: `/models/${index}/${name}`, name }))
  return buildPretrainSpec(models, base, { text: ['t.txt'], out: 'o', ...options }, cwd)
}

describe('buildPretrainSpec', () => {
  it('fills in what is not given', () => {
    const { steps, learningRate, ...usual } = PRETRAIN_DEFAULTS
    expect(build({})).toEqual({
      ...usual,
      kind: 'pretrain',
      models: [{ path: '/models/0/grown', name: 'grown' }],
      texts: [resolve(cwd, 't.txt')],
      amount: { steps },
      learningRates: [learningRate],
      train: 'new',
      trainedParts: 'all',
      device: 'auto',
      out: resolve(cwd, 'o'),
      overwrite: false,
      maxShardBytes: DEFAULT_SHARD_BYTES,
    })
  })

  it('takes everything that can be given', () => {
    const options: PretrainOptions = {
      text: ['a.txt', resolve('/b')],
      out: 'o',
      overwrite: true,
      textField: 'content',
      order: 'sequential',
      evalText: 'e.txt',
      forgettingText: 'f.txt',
      train: '9,4-6,5',
      normsOnly: true,
      tokens: 1_000_000,
      context: 512,
      batch: 4,
      lr: [1e-3, 3e-3, 1e-3],
      outputLrFactor: 10,
      schedule: 'cosine',
      warmup: 7,
      weightDecay: 0,
      clip: 0,
      beta1: 0.8,
      beta2: 0.99,
      epsilon: 1e-6,
      seeds: 3,
      seed: 5,
      evalEvery: 20,
      saveEvery: 0.5,
      job: 'j',
      maxShardSize: 1e9,
      device: 'cpu',
      memory: 8e9,
      deviceMemory: 4e9,
    }
    expect(build(options, ['a', 'b'], '/base')).toEqual({
      kind: 'pretrain',
      models: [
        { path: '/models/0/a', name: 'a' },
        { path: '/models/1/b', name: 'b' },
      ],
      base: '/base',
      texts: [resolve(cwd, 'a.txt'), resolve('/b')],
      textField: 'content',
      evalText: resolve(cwd, 'e.txt'),
      evalShare: PRETRAIN_DEFAULTS.evalShare,
      forgettingText: resolve(cwd, 'f.txt'),
      amount: { tokens: 1_000_000 },
      context: 512,
      batch: 4,
      learningRates: [1e-3, 3e-3],
      outputRateFactor: 10,
      schedule: 'cosine',
      warmup: 7,
      weightDecay: 0,
      beta1: 0.8,
      beta2: 0.99,
      epsilon: 1e-6,
      clip: 0,
      train: [4, 5, 6, 9],
      trainedParts: 'norms',
      evalEvery: 20,
      saveEvery: 0.5,
      order: 'sequential',
      seed: 5,
      repeats: 3,
      job: resolve(cwd, 'j'),
      device: 'cpu',
      memoryBytes: 8e9,
      deviceMemoryBytes: 4e9,
      out: resolve(cwd, 'o'),
      overwrite: true,
      maxShardBytes: 1e9,
    })
  })

  it.each([
    [{ epochs: 2.5 }, { epochs: 2.5 }],
    [{ steps: 3 }, { steps: 3 }],
  ])('trains as long as %j says', (options, amount) => {
    expect(build(options).amount).toEqual(amount)
  })

  it('gives the models of a race names that no file system takes for one', () => {
    const { models } = build({}, ['lesa', 'LESA', 'a/b', 'lesa-2', 'con'])
    expect(models.map(({ name }) => name)).toEqual(['lesa', 'LESA-2', 'a-b', 'lesa-2-2', '_con'])
  })

  it.each([
    [{ steps: 1, tokens: 1 }, '--steps and --tokens exclude each other'],
    [{ tokens: 1, epochs: 1 }, '--tokens and --epochs exclude each other'],
    [{ evalText: 'e', evalShare: 0.1 }, '--eval-text and --eval-share exclude each other'],
    [{ steps: 0 }, /^--steps: too small.*, given 0$/],
    [{ epochs: 0 }, /^--epochs: too small.*, given 0$/],
    [{ lr: [0] }, /^--lr: too small.*, given 0$/],
    [{ outputLrFactor: 0 }, /^--output-lr-factor: /],
    [{ evalShare: 0.9 }, /^--eval-share: too big.*, given 0\.9$/],
    [{ beta2: 1 }, /^--beta2: too big.*, given 1$/],
    [{ seeds: 0 }, /^--seeds: too small.*, given 0$/],
    [{ seeds: 17 }, /^--seeds: /],
    [{ maxShardSize: 1 }, /^--max-shard-size: /],
    [{ memory: 0 }, /^--memory: /],
    [{ context: 1 }, /^--context: too small.*, given 1$/],
    [{ train: 'old' }, '--train: expected new, or layers such as 4,6-9, given old'],
    [{ train: '' }, '--train: expected new, or layers such as 4,6-9, given nothing'],
    [{ steps: 20, warmup: 20 }, '--warmup: expected fewer than the 20 steps, given 20'],
  ])('refuses %j', (options, message) => {
    expect(() => build(options)).toThrow(message)
  })

  it('refuses more trainings than are shown, and one model twice', () => {
    expect(() => build({ seeds: 6 }, ['a', 'b', 'c'])).toThrow(
      '--seeds: expected at most 16 trainings of all models together, given 18',
    )
    expect(() => build({}, Array<string>(17).fill('a'))).toThrow(/^MODEL: /)
    const twice = { path: '/models/a', name: 'a' }
    expect(() =>
      buildPretrainSpec([twice, twice], undefined, { text: ['t'], out: 'o' }, cwd),
    ).toThrow('MODEL: expected each model once, given /models/a twice')
  })
})

describe('decimals', () => {
  it.each([
    ['1e-3', [1e-3]],
    ['1e-3,3e-3', [1e-3, 3e-3]],
    ['0,001;0,003', [0.001, 0.003]],
    ['1e-4, 0.001', [1e-4, 0.001]],
  ])('reads %s', (text, values) => {
    expect(decimals(text)).toEqual(values)
  })

  it.each(['0,001', '', '1e-3,', '1e-3,,2'])('refuses %j', (text) => {
    expect(() => decimals(text)).toThrow(/It should|decimal point/)
  })
})
