import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpandSpec } from '@shared/jobs'
import { fitsText, METHODS, methodNamed, type MethodSpec } from '@shared/methods'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { newDtype } from '../../../../src/main/engine/checkpoint/dtypes'
import {
  writeTinyCheckpoint,
  type TinyCheckpointOptions,
  type TinyDtype,
} from '../../../support/checkpoints'
import { PROJECT } from '../../../support/built'
import { runExpand, runTask } from '../../../support/jobs'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

const TEXT = join(PROJECT, 'resources/demo-texts/ledger-eval.txt')

const predictor = {
  ...PRESET_SETTINGS.paper,
  hiddenSize: 8,
  length: { unit: 'steps', value: 3 },
} as const

function specOf(name: (typeof METHODS)[number]): MethodSpec {
  const { options } = methodNamed(name)
  return {
    name,
    ...('rounds' in options ? { rounds: 1 } : {}),
    ...('asPublished' in options ? { asPublished: false } : {}),
    ...('predictor' in options ? { useSvd: true, energy: 1, predictor } : {}),
  } as MethodSpec
}

async function workbench(options: Omit<TinyCheckpointOptions, 'dir'>) {
  const root = await tempFolder()
  const model = await writeTinyCheckpoint({ dir: join(root, 'model'), layers: 6, ...options })
  const spec = (out: string, changes: Partial<ExpandSpec>): ExpandSpec =>
    expandSpec({ model, out: join(root, out), ...changes })
  return { root, model, spec }
}

const RANK: readonly TinyDtype[] = ['F16', 'BF16', 'F32']
/** Half a unit in the last place, over the value. */
const ROUNDING = { F16: 2 ** -11, BF16: 2 ** -8, F32: 0 } as const

describe('a new tensor', () => {
  it('has the chosen type, or the one of its sources that reaches furthest', () => {
    expect(newDtype(['F16', 'BF16'], 'keep')).toBe('BF16')
    expect(newDtype(['BF16', 'F16'], 'keep')).toBe('BF16')
    expect(newDtype(['F32', 'BF16'], 'keep')).toBe('F32')
    expect(newDtype(['F16', 'F32'], 'keep')).toBe('F32')
    for (const dtype of RANK) expect(newDtype([dtype, dtype], 'keep')).toBe(dtype)
    expect(newDtype(['F32', 'BF16'], 'f16')).toBe('F16')
    expect(newDtype(['I64', 'I64'], 'bf16')).toBe('I64')
    expect(newDtype(['F8_E4M3'], 'keep')).toBe('F8_E4M3')
  })
})

const MIXES: readonly (readonly TinyDtype[])[] = [
  ['F16', 'BF16', 'F16', 'BF16', 'F16', 'BF16'],
  ['F32', 'BF16', 'F32', 'BF16', 'BF16', 'F32'],
  ['F16', 'F32', 'BF16', 'F16', 'BF16', 'F32'],
]
const MODELS: readonly Omit<TinyCheckpointOptions, 'dir'>[] = [
  { architecture: 'qwen2', tieWordEmbeddings: true, dtype: 'F32' },
  { architecture: 'phi3', dtype: 'F16' },
]

describe.each(METHODS)('layers of different element types grown by %s', (name) => {
  const cases = MIXES.map((layerDtypes, index) => {
    const model = MODELS[index % MODELS.length] ?? {}
    return [`${model.architecture}, ${layerDtypes.join(' ')}`, layerDtypes, model] as const
  })
  it.each(cases)('hold the values that they hold in F32: %s', async (_, layerDtypes, model) => {
    const { spec } = await workbench({
      ...model,
      layerDtypes,
      // As many tokens as the tokenizer beside it has.
      ...(fitsText(name) ? { vocab: 512 } : {}),
    })
    const method = specOf(name)
    const calibration = fitsText(name)
      ? { calibration: { text: TEXT, tokens: 128, context: 32 } }
      : {}
    const kept = await runExpand(spec('kept', { method, ...calibration }))
    const wide = await runExpand(spec('wide', { method, dtype: 'f32', ...calibration }))
    const [found, expected] = [await Checkpoint.open(kept.out), await Checkpoint.open(wide.out)]
    try {
      expect([...found.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort())
      for (const { name: tensor, dtype } of found.tensors.values()) {
        const rounding = ROUNDING[dtype as TinyDtype]
        const values = await found.readFloat32(tensor)
        const wanted = await expected.readFloat32(tensor)
        // The smallest normal of F16: below it steps are of one size.
        const worst = values.reduce((most, value, i) => {
          const target = wanted[i] ?? NaN
          return Math.max(most, Math.abs(value - target) / Math.max(Math.abs(target), 2 ** -14))
        }, 0)
        expect(worst, `${tensor} in ${dtype}`).toBeLessThanOrEqual(rounding)
      }
    } finally {
      await found.close()
      await expected.close()
    }
  })
})

describe('an element type that does not hold the weights', () => {
  const big = (name: string): number => (name.includes('layers.1.mlp.up_proj') ? 1e6 : 1)
  const tiny = (name: string): number => (name === 'model.layers.2.mlp.up_proj.weight' ? 1e-12 : 1)
  const UP = 'model.layers.1.mlp.up_proj.weight'

  it.each(['lesa', 'solar', 'neighbour-mean', 'llama-pro'] as const)(
    'is refused before anything is computed, naming the tensors: %s',
    async (name) => {
      const { spec, root } = await workbench({ scale: big })
      const method = specOf(name)
      const steps: string[] = []
      const job = runTask(spec('out', { method, dtype: 'f16' }), {
        onEvent: (event) => void (event.type === 'step' && steps.push(event.id)),
      })
      await expect(job).rejects.toMatchObject({
        code: 'bad_request',
        message: expect.stringMatching(
          /values in the tensor ".*up_proj.weight" too large for F16/,
        ) as string,
        hint: expect.stringContaining('--allow-overflow') as string,
        context: { tensor: UP, expected: 'at most 65,504 in F16' },
      })
      expect(new Set(steps)).toEqual(new Set(['range']))
      expect((await readdir(root)).sort()).toEqual(['model'])
    },
  )

  it('is refused where a whole tensor would become zero', async () => {
    const { spec } = await workbench({ scale: tiny, dtype: 'F32' })
    await expect(
      runTask(spec('out', { method: { name: 'solar' }, dtype: 'f16' })),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/too small for F16/) as string,
      context: { expected: 'at least 5.96e-8 in F16' },
    })
    expect((await runExpand(spec('bf16', { dtype: 'bf16' }))).warnings).toEqual([])
  })

  it('is written all the same when that is allowed, and said', async () => {
    const { spec } = await workbench({ scale: big })
    const result = await runExpand(spec('out', { dtype: 'f16', allowOverflow: true }))
    expect(result.warnings).toEqual([
      expect.stringMatching(/^Lost: .* values in (the tensor|\d+ tensors).* too large for F16/),
    ])
    const written = await Checkpoint.open(result.out)
    const values = await written.readFloat32(UP)
    await written.close()
    expect(values.some((value) => !Number.isFinite(value))).toBe(true)
  })

  it('is no matter where nothing narrows', async () => {
    const { spec } = await workbench({ scale: big })
    for (const dtype of ['keep', 'bf16', 'f32'] as const) {
      const { events } = await runTask(spec(dtype, { dtype }))
      expect(events.some((event) => event.type === 'step' && event.id === 'range')).toBe(false)
    }
  })
})
