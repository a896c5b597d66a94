import { join } from 'node:path'
import { planExpansion } from '@shared/plan'
import { describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { grownConfig, setDtype } from '../../../../src/main/engine/growth/grownConfig'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

async function configOf(
  options: Partial<Parameters<typeof grownConfig>[2]> = {},
  model: Partial<TinyCheckpointOptions> = {},
): Promise<{ before: Readonly<Record<string, unknown>>; after: Record<string, unknown> }> {
  const dir = await writeTinyCheckpoint({ dir: join(await tempFolder(), 'base'), ...model })
  const checkpoint = await Checkpoint.open(dir)
  const plan = planExpansion({ name: 'neighbour-mean', gaps: [2] }, 4)
  const after = grownConfig(checkpoint, plan, { dtype: 'keep', untie: false, ...options })
  await checkpoint.close()
  return { before: checkpoint.rawConfig, after }
}

describe('the grown config', () => {
  it('has the new depth, and everything else as it was', async () => {
    const { before, after } = await configOf()
    expect(after).toEqual({ ...before, num_hidden_layers: 5 })
  })

  it('gives a computed layer what its left neighbour has in lists by layer', async () => {
    const types = ['full', 'full', 'sliding', 'full']
    const { after } = await configOf({}, { config: { layer_types: types } })
    expect(after['layer_types']).toEqual(['full', 'full', 'sliding', 'sliding', 'full'])
  })

  it('unties the embeddings when the head differs from them', async () => {
    const { after } = await configOf({ untie: true }, { tieWordEmbeddings: true })
    expect(after['tie_word_embeddings']).toBe(false)
  })

  it('names the element type in the spelling that is there', () => {
    const config: Record<string, unknown> = { dtype: 'bfloat16' }
    setDtype(config, 'keep', null)
    expect(config).toEqual({ dtype: 'bfloat16' })
    setDtype(config, 'f32', null)
    expect(config).toEqual({ dtype: 'float32' })
    const silent: Record<string, unknown> = {}
    setDtype(silent, 'f16', null)
    expect(silent).toEqual({ torch_dtype: 'float16' })
  })
})
