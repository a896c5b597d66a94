import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DEFAULT_SHARD_BYTES } from '@shared/jobs'
import { buildSynthSpec } from '../../../../src/main/cli/commands/synth'

const cwd = resolve('/somewhere')

describe('buildSynthSpec', () => {
  it('fills in what is not given', () => {
    expect(buildSynthSpec({ like: 'llama3-8b', out: 'o' }, cwd)).toEqual({
      kind: 'synth',
      like: { preset: 'llama3-8b' },
      out: resolve(cwd, 'o'),
      overwrite: false,
      dtype: 'bf16',
      maxShardBytes: DEFAULT_SHARD_BYTES,
      seed: 0,
    })
  })

  it('takes any other name for a config file', () => {
    expect(buildSynthSpec({ like: 'mine.json', out: 'o', layers: 3 }, cwd)).toMatchObject({
      like: { config: resolve(cwd, 'mine.json') },
      layers: 3,
    })
  })

  it.each([
    [{ layers: 0 }, /^--layers: /],
    [{ seed: 2 ** 32 }, /^--seed: /],
    [{ maxShardSize: 1 }, /^--max-shard-size: /],
  ])('refuses %j', (options, message) => {
    expect(() => buildSynthSpec({ like: 'llama3-8b', out: 'o', ...options }, cwd)).toThrow(message)
  })
})
