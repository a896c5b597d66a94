import { join } from 'node:path'
import type { MethodSpec } from '@shared/methods'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { planGrowth } from '../../../../src/main/engine/growth/planGrowth'
import {
  heldOutIn,
  requireLearnable,
  seriesOf,
  wholeSeries,
} from '../../../../src/main/engine/lesa/series'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { EXPERTS, writeExpertModel } from '../../../support/experts'
import { tempFolder } from '../../../support/tempFolder'
import { WEIGHT_TYPES } from '../../../support/weightTypes'

async function open(folder: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

/** Every third layer without a window. */
async function withTypes(layers: number): Promise<Checkpoint> {
  const types = Array.from({ length: layers }, (_, layer) =>
    layer % 3 === 2 ? 'full_attention' : 'sliding_attention',
  )
  const config = { layer_types: types, sliding_window: 8 }
  const dir = join(await tempFolder(), 'model')
  return open(await writeTinyCheckpoint({ dir, architecture: 'mistral', layers, config }))
}

const mean = (gaps: number[]): MethodSpec => ({ name: 'neighbour-mean', gaps })

describe('series', () => {
  it('are one for each weight type where all layers are alike', async () => {
    const dir = join(await tempFolder(), 'model')
    const model = await open(await writeTinyCheckpoint({ dir, layers: 5 }))
    const all = seriesOf(model, planGrowth(mean([1]), model))
    expect(all.map(({ id }) => id)).toEqual(WEIGHT_TYPES)
    expect(all.every(({ layers }) => layers.length === 5)).toBe(true)
  })

  it('are one for each type of layer that gets new ones, with its own layers', async () => {
    const model = await withTypes(9)
    const both = seriesOf(model, planGrowth(mean([1, 2]), model))
    expect(both.slice(0, 2)).toMatchObject([
      { id: 'q_proj.window8', slot: 'q_proj', layers: [0, 1, 3, 4, 6, 7] },
      { id: 'q_proj.full', slot: 'q_proj', layers: [2, 5, 8] },
    ])
    const one = seriesOf(model, planGrowth(mean([1]), model))
    expect(one.map(({ id }) => id)).toEqual(WEIGHT_TYPES.map((type) => `${type}.window8`))
  })

  it('are of all layers where a type has too few', async () => {
    const model = await withTypes(6)
    const all = seriesOf(model, planGrowth(mean([2]), model))
    expect(all.map(({ id }) => id)).toEqual(WEIGHT_TYPES)
    expect(all[0]?.layers).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('of experts have as many chains as there are experts, and take them by neurons', async () => {
    const folder = join(await tempFolder(), 'model')
    const model = await open(await writeExpertModel({ dir: folder, layers: 3 }))
    expect(wholeSeries(model, 'experts.up_proj')).toMatchObject({
      experts: EXPERTS,
      isTransposed: false,
    })
    expect(wholeSeries(model, 'experts.down_proj').isTransposed).toBe(true)
    expect(wholeSeries(model, 'o_proj')).toMatchObject({ experts: null, isTransposed: false })
  })

  it('with fewer than three layers are refused, naming what has them', async () => {
    const folder = join(await tempFolder(), 'model')
    const model = await open(await writeExpertModel({ dir: folder, layers: 2 }))
    const plan = planGrowth(mean([0]), {
      architecture: model.architecture,
      config: { ...model.config, numHiddenLayers: 3 },
      path: model.path,
    })
    expect(() => requireLearnable(model, plan)).toThrow(
      'There are too few layers to learn q_proj from: only layers 0 and 1 have it.',
    )
  })

  it('hold out what they have, where it stands among their layers', () => {
    const series = {
      id: 'q_proj.full',
      slot: 'q_proj',
      layers: [2, 5, 8, 11, 14, 17],
      experts: null,
      isTransposed: false,
    }
    expect(heldOutIn(series, [3, 8, 17])).toEqual([2])
  })
})
