import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  contextOf,
  measuredWindows,
  stepsOf,
  trainedLayers,
} from '../../../../src/main/engine/pretraining/course'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

describe('what an evaluation measures', () => {
  it('is all that was held back of a short text, and a part of a long one', () => {
    expect(measuredWindows(20, 16)).toBe(20)
    expect(measuredWindows(10_000, 1024)).toBe(64)
    expect(measuredWindows(10_000, 8192)).toBe(32)
    expect(measuredWindows(0, 1024)).toBe(0)
  })
})

describe('how long a training takes', () => {
  const size = { context: 16, windows: 100 }

  it('is what was asked for, in whole steps', () => {
    expect(stepsOf({ amount: { steps: 7 }, batch: 4 }, size)).toBe(7)
    expect(stepsOf({ amount: { tokens: 640 }, batch: 4 }, size)).toBe(10)
    expect(stepsOf({ amount: { tokens: 641 }, batch: 4 }, size)).toBe(11)
    expect(stepsOf({ amount: { epochs: 1.5 }, batch: 4 }, size)).toBe(38)
    expect(stepsOf({ amount: { epochs: 0.001 }, batch: 4 }, size)).toBe(1)
  })
})

describe('which layers are trained', () => {
  const model = async (record?: string): Promise<Checkpoint> => {
    const dir = join(await tempFolder(), 'model')
    await writeTinyCheckpoint({ dir, layers: 4 })
    if (record !== undefined) await writeFile(join(dir, 'lesa.json'), record)
    const checkpoint = await Checkpoint.open(dir)
    await checkpoint.close()
    return checkpoint
  }

  it('is what the record of the growth names as new, or a list, in order', async () => {
    const grown = await model('{"new_layers": [3, 1]}')
    expect(await trainedLayers(grown, { train: 'new' })).toEqual([1, 3])
    expect(await trainedLayers(grown, { train: [2, 0, 2] })).toEqual([0, 2])
  })

  it('is asked for where no record names any', async () => {
    const error = { code: 'bad_request', context: { field: 'new_layers' } }
    const records = [undefined, '{"new_layers": []}', '{"new_layers": "all"}', '[1]', '{']
    for (const record of records) {
      const grown = await model(record)
      await expect(trainedLayers(grown, { train: 'new' })).rejects.toMatchObject(error)
    }
  })

  it('is none that the model does not have', async () => {
    const grown = await model('{"new_layers": [1, 4]}')
    await expect(trainedLayers(grown, { train: 'new' })).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'new_layers', actual: '4' },
    })
    await expect(trainedLayers(grown, { train: [9] })).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'train', expected: 'layers from 0 to 3', actual: '9' },
    })
  })
})

describe('the length of a window', () => {
  it('is what is asked for, or fits into every model', async () => {
    const dir = join(await tempFolder(), 'model')
    await writeTinyCheckpoint({ dir, layers: 2 })
    const { config } = await Checkpoint.open(dir)
    const of = (maxPositionEmbeddings: number | null) => ({ ...config, maxPositionEmbeddings })
    expect(contextOf({ context: 4096 }, [of(128)])).toBe(4096)
    expect(contextOf({}, [of(512), of(128), of(null)])).toBe(128)
    expect(contextOf({}, [of(8192), of(null)])).toBe(1024)
  })
})
