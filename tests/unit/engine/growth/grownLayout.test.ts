import { join } from 'node:path'
import type { MethodSpec } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import { describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import {
  isCopy,
  layOut,
  type GrownLayout,
  type LayoutOptions,
} from '../../../../src/main/engine/growth/grownLayout'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../../../support/checkpoints'
import { makeUneven } from '../../../support/oddCheckpoints'
import { tempFolder } from '../../../support/tempFolder'

async function laidOut(
  method: MethodSpec,
  options: Partial<LayoutOptions> = {},
  model: Partial<TinyCheckpointOptions> = {},
  change: (folder: string) => Promise<void> = () => Promise.resolve(),
): Promise<GrownLayout> {
  const dir = await writeTinyCheckpoint({ dir: join(await tempFolder(), 'base'), ...model })
  await change(dir)
  const checkpoint = await Checkpoint.open(dir)
  const { layers } = planExpansion(method, checkpoint.config.numHiddenLayers)
  const layout = layOut(checkpoint, { layers, rest: 'mean', dtype: 'keep', ...options })
  await checkpoint.close()
  return layout
}

const tensorOf = ({ tensors }: GrownLayout, name: string) => {
  const found = tensors.find((tensor) => tensor.name === name)
  if (!found) throw new Error(name)
  return found
}

/** Where a tensor comes from, in a few words. */
function origin(layout: GrownLayout, name: string): string {
  const { source } = tensorOf(layout, name)
  switch (source.kind) {
    case 'constant':
      return String(source.value)
    case 'base':
      return source.tensor.name
    case 'by_layer':
      return `parts of ${source.tensor.name}`
    case 'mean':
      return `mean of ${source.left.name} and ${source.right.name} at ${source.position}`
    case 'filled':
      return source.slots
        .map(
          ({ type, layer, left, right, position }) =>
            `${type} of ${layer} between ${left.name} and ${right.name} at ${position}`,
        )
        .join(', ')
  }
}

describe('the layout of a grown model', () => {
  it('has every layer under its new number, and what is in no layer once', async () => {
    const layout = await laidOut({ name: 'stack', repeat: [1, 2] })
    const names = layout.tensors.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names).toHaveLength(3 + 6 * 9)
    expect(origin(layout, 'model.layers.3.mlp.up_proj.weight')).toBe(
      'model.layers.1.mlp.up_proj.weight',
    )
    expect(origin(layout, 'model.layers.5.input_layernorm.weight')).toBe(
      'model.layers.3.input_layernorm.weight',
    )
    expect(origin(layout, 'model.embed_tokens.weight')).toBe('model.embed_tokens.weight')
    expect(layout.tensors.every(isCopy)).toBe(true)
  })

  it('counts parameters, bytes and element types', async () => {
    const layout = await laidOut({ name: 'interpolation', gaps: [3] })
    // 4 layers of hidden 32, intermediate 48, 4 heads of 8 and 2 for keys and values; a vocabulary of 64.
    const perLayer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 48 + 2 * 32
    expect(layout.parameters).toBe(5 * perLayer + 2 * 64 * 32 + 32)
    expect(layout.bytes).toBe(2 * layout.parameters)
    expect(layout.dtypes).toEqual(['BF16'])
    const wider = await laidOut({ name: 'interpolation', gaps: [3] }, { dtype: 'f32' })
    expect(wider.bytes).toBe(4 * layout.parameters)
    expect(wider.dtypes).toEqual(['F32'])
    expect(wider.tensors.some(isCopy)).toBe(false)
  })

  it('zeroes what writes into the residual stream of an identity copy', async () => {
    const layout = await laidOut({ name: 'llama-pro', groups: 1 })
    expect(origin(layout, 'model.layers.4.self_attn.o_proj.weight')).toBe('0')
    expect(origin(layout, 'model.layers.4.mlp.down_proj.weight')).toBe('0')
    expect(origin(layout, 'model.layers.4.self_attn.q_proj.weight')).toBe(
      'model.layers.3.self_attn.q_proj.weight',
    )
  })

  it('fills matrices from the base layers around the gap, further on by bisection', async () => {
    const layout = await laidOut({ name: 'neighbour-mean', gaps: [1, 1, 1] })
    const at = (layer: number): string => origin(layout, `model.layers.${layer}.mlp.up_proj.weight`)
    const between =
      'between model.layers.1.mlp.up_proj.weight and model.layers.2.mlp.up_proj.weight'
    expect([2, 3, 4].map(at)).toEqual([
      `up_proj of 2 ${between} at 0.25`,
      `up_proj of 3 ${between} at 0.5`,
      `up_proj of 4 ${between} at 0.75`,
    ])
  })

  it.each([
    ['mean', 'mean of model.layers.1.X and model.layers.2.X at 0.5'],
    ['previous', 'model.layers.1.X'],
    ['next', 'model.layers.2.X'],
    ['first', 'model.layers.0.X'],
  ] as const)(
    'takes norms and biases of a computed layer by the rule %s',
    async (rest, expected) => {
      const layout = await laidOut(
        { name: 'neighbour-mean', gaps: [1] },
        { rest },
        { architecture: 'qwen2' },
      )
      for (const suffix of ['input_layernorm.weight', 'self_attn.q_proj.bias']) {
        expect(origin(layout, `model.layers.2.${suffix}`)).toBe(expected.replaceAll('X', suffix))
      }
    },
  )

  it('drops a head that repeats the embeddings', async () => {
    const layout = await laidOut({ name: 'solar' }, { dropsHead: true })
    expect(layout.tensors.map(({ name }) => name)).not.toContain('lm_head.weight')
  })

  it.each(['mean', 'previous', 'next', 'first'] as const)(
    'takes what only some layers have from the layer before the gap, or else from the one after (%s)',
    async (rest) => {
      const layout = await laidOut({ name: 'neighbour-mean', gaps: [1] }, { rest }, {}, makeUneven)
      const at = (suffix: string): string => origin(layout, `model.layers.2.${suffix}`)
      const before = rest === 'first' ? 0 : 1
      expect(at('left')).toBe(`model.layers.${before}.left`)
      expect(at('right')).toBe('model.layers.2.right')
      expect(at('shape')).toBe(`model.layers.${before}.shape`)
      expect(at('count')).toBe(`model.layers.${rest === 'next' ? 2 : before}.count`)
      const lone = layout.tensors.filter(({ name }) => name.endsWith('.lone'))
      expect(lone.map(({ name }) => name)).toEqual(['model.layers.4.lone'])
    },
  )
})
