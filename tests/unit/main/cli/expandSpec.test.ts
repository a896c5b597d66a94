import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  canAlign,
  canDamp,
  fitsText,
  hasStages,
  isLearned,
  METHODS,
  type Method,
} from '@shared/methods'
import { OUTPUT_DTYPES } from '@shared/jobs'
import { DEVICE_CHOICES } from '@shared/devices'
import { PREDICTOR_PRESETS, PRESET_SETTINGS } from '@shared/predictorSettings'
import * as choices from '../../../../src/main/cli/choices'
import { buildExpandSpec, type ExpandOptions } from '../../../../src/main/cli/expandSpec'
import { METHOD_FLAGS } from '../../../../src/main/cli/methodFlags'
import { UsageError } from '../../../../src/main/cli/usage'

const cwd = resolve('/work-folder')

const LARGE = {
  hidden_size: 4096,
  intermediate_size: 14_336,
  num_attention_heads: 32,
  num_key_value_heads: 8,
}
/** The bundled model's. */
const SMALL = {
  hidden_size: 128,
  intermediate_size: 384,
  num_attention_heads: 4,
  num_key_value_heads: 2,
}

function build(options: Partial<ExpandOptions>, layers = 12, shape = LARGE) {
  return buildExpandSpec(
    'model',
    { out: 'out', method: 'lesa', ...options },
    { cwd, shape: () => Promise.resolve({ ...shape, num_hidden_layers: layers }) },
  )
}

describe('choices', () => {
  it('are those of the shared schemas, in their order', () => {
    expect(choices.DTYPE_CHOICES).toEqual(OUTPUT_DTYPES)
    expect(choices.DEVICE_CHOICES).toEqual(DEVICE_CHOICES)
  })
})

describe('buildExpandSpec', () => {
  it('fills in the defaults of every method without options', async () => {
    for (const method of METHODS) {
      const spec = await build({ method, ...(fitsText(method) ? { text: 'far.txt' } : {}) })
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
      // Of a control nothing is to be said.
      expect('holdout' in spec.method).toBe(method === 'lesa')
    }
  })

  it('keeps absolute paths', async () => {
    expect((await build({ out: resolve('/elsewhere/x') })).out).toBe(resolve('/elsewhere/x'))
  })

  it.each(PREDICTOR_PRESETS)('takes all settings of the preset %s', async (preset) => {
    const { method } = await build({ preset })
    expect(method).toMatchObject({ predictor: PRESET_SETTINGS[preset], useSvd: true, energy: 1 })
  })

  it('takes the preset for the model, unless it or the length is given', async () => {
    const predictorOf = async (options: Partial<ExpandOptions>, layers = 12, shape = LARGE) => {
      const { method } = await build(options, layers, shape)
      return isLearned(method) ? method.predictor : null
    }
    const { paper, small } = PRESET_SETTINGS
    // 5 · ⌈30 · 1024 / 64⌉ = 2,400 mini-batches for k and v; of ten inner layers 800.
    expect(await predictorOf({}, 32)).toEqual(paper)
    expect(await predictorOf({}, 12)).toEqual(small)
    expect(await predictorOf({ batchSize: 16 }, 12)).toEqual({ ...paper, batchSize: 16 })
    for (const method of ['lesa', 'noise'] as const) {
      expect(await predictorOf({ method }, 12, SMALL)).toEqual(small)
    }
    expect(await predictorOf({ preset: 'paper' }, 12, SMALL)).toEqual(paper)
    expect(await predictorOf({ epochs: 5 }, 12, SMALL)).toEqual(paper)
    expect(await predictorOf({ lr: 0.5 }, 12, SMALL)).toEqual({ ...small, learningRate: 0.5 })
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
      holdout: [4],
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
        holdout: [4],
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
    expect((await build({ method: 'opt-deus' })).method).toEqual({
      name: 'opt-deus',
      asPublished: false,
    })
    expect((await build({ method: 'opt-deus', gaps: '2', asPublished: true })).method).toEqual({
      name: 'opt-deus',
      gaps: [2],
      asPublished: true,
    })
  })

  it('holds out the middle layer when none is named', async () => {
    expect((await build({ holdout: true }, 12)).method).toMatchObject({ holdout: [6] })
    expect((await build({ holdout: true }, 7)).method).toMatchObject({ holdout: [3] })
    const noise = await build({ method: 'noise', holdout: [2] })
    expect(noise.method).toMatchObject({ holdout: [2] })
  })

  it('holds out a few, or as many as one training keeps out when nobody says, or none', async () => {
    expect((await build({ holdout: 'some' }, 12)).method).toMatchObject({ holdout: [3, 6, 9] })
    expect((await build({}, 12)).method).toMatchObject({ holdout: [6] })
    expect((await build({}, 32)).method).toMatchObject({ holdout: [8, 16, 24] })
    for (const spec of [
      await build({}, 6),
      await build({ holdout: false }),
      await build({ method: 'noise' }),
    ]) {
      expect(spec.method).not.toHaveProperty('holdout')
    }
  })

  it('resolves further checkpoints like the model', async () => {
    expect((await build({ also: ['a', resolve('/elsewhere/b')] })).also).toEqual([
      resolve(cwd, 'a'),
      resolve('/elsewhere/b'),
    ])
    expect(await build({})).not.toHaveProperty('also')
  })

  it('refuses options that the method does not use, and says which do', async () => {
    await expect(build({ method: 'solar', groups: 4 })).rejects.toThrow(
      '--groups is not used by solar; methods that use it: llama-pro',
    )
    await expect(build({ method: 'stack', svd: false })).rejects.toThrow(
      '--no-svd is not used by stack; methods that use it: lesa, noise',
    )
    await expect(build({ method: 'interpolation', rest: 'next' })).rejects.toThrow(
      '--rest is not used by interpolation; methods that use it: lesa, opt-deus, neighbour-mean, noise',
    )
    await expect(build({ method: 'llama-pro', groups: 4, gaps: '1' })).rejects.toThrow(
      '--groups and --gaps exclude each other: both say where the new layers go',
    )
    await expect(build({ method: 'llama-pro', batchSize: 4 })).rejects.toThrow('--batch-size')
  })

  /** Every flag that not all methods use, with a value, and the methods that do. */
  const LEARNED: readonly Method[] = ['lesa', 'noise']
  const FITTED: readonly Method[] = ['fitted']
  const CALIBRATED = METHODS.filter((name) => fitsText(name) || canDamp(name))
  const COMPUTING: readonly Method[] = ['lesa', 'fitted', 'noise']
  const USES: readonly (readonly [Partial<ExpandOptions>, readonly Method[]])[] = [
    [
      { gaps: '1' },
      ['lesa', 'fitted', 'llama-pro', 'opt-deus', 'interpolation', 'neighbour-mean', 'noise'],
    ],
    [
      { keepPattern: true },
      ['lesa', 'llama-pro', 'opt-deus', 'interpolation', 'neighbour-mean', 'noise'],
    ],
    [{ groups: 2 }, ['llama-pro']],
    [{ overlap: 2 }, ['solar']],
    [{ repeat: [1, 2] }, ['stack']],
    [{ rest: 'first' }, ['lesa', 'opt-deus', 'neighbour-mean', 'noise']],
    [{ asPublished: true }, ['opt-deus']],
    [{ preset: 'paper' }, LEARNED],
    [{ also: ['other'] }, LEARNED],
    [{ epochs: 1 }, LEARNED],
    [{ steps: 1 }, LEARNED],
    [{ lambda: 0.5 }, LEARNED],
    [{ lr: 0.5 }, LEARNED],
    [{ batchSize: 1 }, LEARNED],
    [{ hiddenSize: 1 }, LEARNED],
    [{ weightDecay: 0.5 }, LEARNED],
    [{ beta1: 0.5 }, LEARNED],
    [{ beta2: 0.5 }, LEARNED],
    [{ epsilon: 0.5 }, LEARNED],
    [{ energy: 0.5 }, LEARNED],
    [{ svd: false }, LEARNED],
    [{ holdout: [2] }, LEARNED],
    [{ holdout: false }, LEARNED],
    [{ memory: 1e9 }, COMPUTING],
    [{ deviceMemory: 1e9 }, COMPUTING],
    [{ job: 'folder' }, METHODS.filter(hasStages)],
    [{ only: 'q_proj' }, LEARNED],
    [{ text: 'far.txt' }, CALIBRATED],
    [{ oldText: 'near.txt' }, CALIBRATED],
    [{ rounds: 2 }, FITTED],
    [{ calibrationTokens: 4096 }, CALIBRATED],
    [{ calibrationContext: 128 }, CALIBRATED],
    [{ damp: 0.5 }, METHODS.filter(canDamp)],
    [{ align: true }, METHODS.filter(canAlign)],
  ]

  it('knows no other flag that not all methods use', () => {
    expect(
      Object.values(METHOD_FLAGS)
        .flat()
        .map(({ attribute }) => attribute)
        .sort(),
    ).toEqual(USES.flatMap(([options]) => Object.keys(options)).sort())
  })

  it.each(USES)('%o is taken by %o, and refused for the others', async (options, methods) => {
    for (const method of METHODS) {
      const isOfText = methods === CALIBRATED
      const given = {
        method,
        ...(fitsText(method) || isOfText ? { text: 'far.txt' } : {}),
        ...(canDamp(method) && isOfText ? { damp: 'auto' as const } : {}),
        ...options,
      }
      if (methods.includes(method)) await expect(build(given)).resolves.toBeDefined()
      else {
        await expect(build(given)).rejects.toThrow(
          `is not used by ${method}; methods that use it: ${methods.join(', ')}`,
        )
      }
    }
  })

  it('asks for the text of a start that is fitted to one', async () => {
    await expect(build({ method: 'fitted' })).rejects.toThrow('--method fitted needs --text')
    const spec = await build({
      method: 'fitted',
      text: 'far.txt',
      oldText: 'near.txt',
      rounds: 3,
      calibrationTokens: 9000,
    })
    expect(spec).toMatchObject({
      method: { name: 'fitted', rounds: 3 },
      calibration: {
        text: resolve(cwd, 'far.txt'),
        oldText: resolve(cwd, 'near.txt'),
        tokens: 9000,
      },
    })
  })

  it('takes a factor for what new layers add, or the text that it is chosen on', async () => {
    expect(await build({ method: 'solar', damp: 0 })).toMatchObject({ damp: 0 })
    expect(await build({ damp: 'auto', text: 'far.txt' })).toMatchObject({
      damp: 'auto',
      calibration: { text: resolve(cwd, 'far.txt') },
    })
    await expect(build({ damp: 'auto' })).rejects.toThrow('--damp auto needs --text')
    await expect(build({ method: 'solar', damp: 0.5, text: 'far.txt' })).rejects.toThrow(
      '--text is not used by solar',
    )
    await expect(build({ calibrationTokens: 4096 })).rejects.toThrow(
      '--calibration-tokens needs --text',
    )
    await expect(build({ damp: 5 })).rejects.toThrow('--damp')
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
    [{ method: 'fitted' as const, text: 'far.txt', rounds: 0 }, '--rounds'],
    [{ method: 'fitted' as const, text: 'far.txt', calibrationTokens: 2 }, '--calibration-tokens'],
    [{ out: 'x'.repeat(5000) }, '--out'],
  ])('names the option that is out of range: %o', async (options, message) => {
    await expect(build(options)).rejects.toThrow(UsageError)
    await expect(build(options)).rejects.toThrow(message)
  })
})
