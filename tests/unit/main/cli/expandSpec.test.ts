import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { METHODS } from '@shared/methods'
import { OUTPUT_DTYPES } from '@shared/jobs'
import { DEVICE_CHOICES } from '@shared/devices'
import { REST_CHOICES } from '@shared/methods'
import { PREDICTOR_PRESETS, PRESET_SETTINGS } from '@shared/predictorSettings'
import * as choices from '../../../../src/main/cli/choices'
import {
  buildExpandSpec,
  methodsWith,
  type ExpandOptions,
} from '../../../../src/main/cli/expandSpec'
import { UsageError } from '../../../../src/main/cli/usage'

const cwd = resolve('/work-folder')

function build(options: Partial<ExpandOptions>, layers = 12) {
  return buildExpandSpec(
    'model',
    { out: 'out', method: 'lesa', ...options },
    { cwd, countLayers: () => Promise.resolve(layers) },
  )
}

describe('choices', () => {
  it('are those of the shared schemas, in their order', () => {
    expect(choices.METHOD_CHOICES).toEqual(METHODS)
    expect(choices.PRESET_CHOICES).toEqual(PREDICTOR_PRESETS)
    expect(choices.REST_CHOICES).toEqual(REST_CHOICES)
    expect(choices.DTYPE_CHOICES).toEqual(OUTPUT_DTYPES)
    expect(choices.DEVICE_CHOICES).toEqual(DEVICE_CHOICES)
  })
})

describe('buildExpandSpec', () => {
  it('fills in the defaults of every method without options', async () => {
    for (const method of METHODS) {
      const spec = await build({ method })
      expect(spec).toMatchObject({
        kind: 'expand',
        model: resolve(cwd, 'model'),
        out: resolve(cwd, 'out'),
        overwrite: false,
        rest: 'mean',
        dtype: 'keep',
        maxShardBytes: 5e9,
        device: 'auto',
        seed: 0,
        method: { name: method },
      })
      expect(spec.method).not.toHaveProperty('gaps')
      expect(spec.method).not.toHaveProperty('holdout')
    }
  })

  it('keeps absolute paths', async () => {
    expect((await build({ out: resolve('/elsewhere/x') })).out).toBe(resolve('/elsewhere/x'))
  })

  it.each(PREDICTOR_PRESETS)('takes all settings of the preset %s', async (preset) => {
    const { method } = await build({ preset })
    expect(method).toMatchObject({ predictor: PRESET_SETTINGS[preset], useSvd: true, energy: 1 })
  })

  it('lets every number override the preset', async () => {
    const spec = await build({
      preset: 'matched',
      epochs: 7,
      lambda: 0.25,
      lr: 0.01,
      batchSize: 8,
      hiddenSize: 32,
      weightDecay: 0.5,
      beta1: 0.8,
      beta2: 0.9,
      epsilon: 1e-6,
      energy: 0.99,
      holdout: 4,
      gaps: '5-7,9,9',
      rest: 'first',
      dtype: 'f32',
      maxShardSize: 1e6,
      device: 'cpu',
      seed: 11,
      overwrite: true,
    })
    expect(spec).toEqual({
      kind: 'expand',
      model: resolve(cwd, 'model'),
      out: resolve(cwd, 'out'),
      overwrite: true,
      rest: 'first',
      dtype: 'f32',
      maxShardBytes: 1e6,
      device: 'cpu',
      seed: 11,
      method: {
        name: 'lesa',
        gaps: [5, 6, 7, 9, 9],
        useSvd: true,
        energy: 0.99,
        holdout: 4,
        predictor: {
          lambda: 0.25,
          length: { unit: 'epochs', value: 7 },
          hiddenSize: 32,
          batchSize: 8,
          learningRate: 0.01,
          beta1: 0.8,
          beta2: 0.9,
          epsilon: 1e-6,
          weightDecay: 0.5,
        },
      },
    })
  })

  it('counts the length in steps when asked', async () => {
    expect((await build({ steps: 500 })).method).toMatchObject({
      predictor: { length: { unit: 'steps', value: 500 } },
    })
  })

  it('passes each method its own parameter', async () => {
    expect((await build({ method: 'llama-pro', groups: 6 })).method).toEqual({
      name: 'llama-pro',
      groups: 6,
    })
    expect((await build({ method: 'solar', overlap: 3 })).method).toEqual({
      name: 'solar',
      overlap: 3,
    })
    expect((await build({ method: 'stack', repeat: [8, 23] })).method).toEqual({
      name: 'stack',
      repeat: [8, 23],
    })
    expect((await build({ method: 'interpolation', gaps: '3,7,7' })).method).toEqual({
      name: 'interpolation',
      gaps: [3, 7, 7],
    })
  })

  it('holds out the middle layer when none is named', async () => {
    expect((await build({ holdout: true }, 12)).method).toMatchObject({ holdout: 6 })
    expect((await build({ holdout: true }, 7)).method).toMatchObject({ holdout: 3 })
    expect((await build({ method: 'noise', holdout: 2 })).method).toMatchObject({ holdout: 2 })
  })

  it('refuses options that the method does not use, and says which do', async () => {
    await expect(build({ method: 'solar', groups: 4 })).rejects.toThrow(
      '--groups is not used by solar; methods that use it: llama-pro',
    )
    await expect(build({ method: 'stack', svd: false })).rejects.toThrow(
      '--no-svd is not used by stack; methods that use it: lesa, noise',
    )
    await expect(build({ method: 'interpolation', rest: 'next' })).rejects.toThrow(
      '--rest is not used by interpolation; methods that use it: lesa, neighbour-mean, noise',
    )
    await expect(build({ method: 'llama-pro', batchSize: 4 })).rejects.toThrow('--batch-size')
  })

  it('refuses each method-bound option for every method that does not list it', async () => {
    const options = [...new Set(Object.values<readonly string[]>(choices.METHOD_OPTIONS).flat())]
    for (const option of options) {
      const value =
        { svd: false, gaps: '1', repeat: [1, 2], rest: 'mean', preset: 'paper' }[option] ?? 1
      for (const method of METHODS) {
        if (methodsWith(option as choices.MethodOption).includes(method)) continue
        await expect(build({ method, [option]: value })).rejects.toThrow(UsageError)
      }
    }
  })

  it('refuses contradictions', async () => {
    await expect(build({ epochs: 1, steps: 1 })).rejects.toThrow('--epochs and --steps')
    await expect(build({ svd: false, energy: 0.9 })).rejects.toThrow('--energy and --no-svd')
  })

  it.each([
    [{ gaps: '5-' }, '--gaps: expected gaps such as 5-10 or 3,7,7, found 5-'],
    [{ lambda: 2 }, '--lambda'],
    [{ lr: 0 }, '--lr'],
    [{ beta1: 1 }, '--beta1'],
    [{ epochs: 0 }, '--epochs or --steps'],
    [{ energy: 0 }, '--energy'],
    [{ maxShardSize: 5 }, '--max-shard-size'],
    [{ seed: 2 ** 32 }, '--seed'],
    [{ method: 'llama-pro' as const, groups: 0 }, '--groups'],
    [{ out: 'x'.repeat(5000) }, '--out'],
  ])('names the option that is out of range: %o', async (options, message) => {
    await expect(build(options)).rejects.toThrow(UsageError)
    await expect(build(options)).rejects.toThrow(message)
  })
})
