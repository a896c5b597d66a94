import type { PretrainSpec } from '@shared/jobs'
import { baseName } from '@shared/paths'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { pretrainArguments } from '../../../../src/main/cli/pretrainCommand'
import { buildPretrainSpec, type PretrainOptions } from '../../../../src/main/cli/pretrainSpec'
import { buildProgram, givenOptions } from '../../../../src/main/cli/program'
import { pretrainSpec } from '../../../support/specs'
import { fakeIo } from './fakeIo'

const paths = { engine: '', renderer: '', resources: '' } as never

/** What the command line makes of the words, as it would run it. */
async function specOf(words: readonly string[]): Promise<PretrainSpec> {
  const program = buildProgram(fakeIo(), paths, () => undefined)
  let spec: PretrainSpec | undefined
  program.commands
    .find((command) => command.name() === 'pretrain')
    ?.action((models: string[], options: PretrainOptions, command: Command) => {
      const named = models.map((path) => ({ path, name: baseName(path) }))
      spec = buildPretrainSpec(named, options.base, givenOptions(options, command), '/')
    })
  await program.parseAsync([...words], { from: 'user' })
  if (!spec) throw new Error('no spec')
  return spec
}

const models = [
  { path: '/models/a – ü', name: 'a – ü' },
  { path: '/models/b', name: 'b' },
]

describe('the command of a training', () => {
  it.each<[string, Partial<PretrainSpec>]>([
    ['with defaults', { device: 'auto' }],
    ['of several on several texts', { models, texts: ['/t/a.txt', '/t/more'], base: '/base' }],
    [
      'with nothing as it usually is',
      {
        models,
        overwrite: true,
        textField: 'content',
        order: 'sequential',
        evalShare: 0.1,
        forgettingText: '/f.txt',
        amount: { tokens: 1e6 },
        context: 128,
        batch: 2,
        learningRates: [1e-3, 1e-7],
        outputRateFactor: 10,
        schedule: 'cosine',
        warmup: 0,
        weightDecay: 0,
        clip: 0,
        beta1: 0.8,
        beta2: 0.99,
        epsilon: 1e-9,
        train: [3, 4, 5, 9],
        trainedParts: 'norms',
        repeats: 3,
        seed: 7,
        evalEvery: 11,
        saveEvery: 1.5,
        job: '/job',
        memoryBytes: 8e9,
        deviceMemoryBytes: 1e9,
        maxShardBytes: 1e9,
        device: 'webgpu',
      },
    ],
    ['measured on a text of its own', { evalText: '/eval.txt', amount: { epochs: 0.5 } }],
  ])('makes the same job, %s', async (_, changes) => {
    const spec = pretrainSpec(changes)
    expect(await specOf(pretrainArguments(spec))).toEqual(spec)
  })
})
