import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  TrainingStates,
  type TrainingCourse,
} from '../../../../src/main/engine/pretraining/trainingStates'
import { tempFolder } from '../../../support/tempFolder'

function course(step: number, changes: Partial<TrainingCourse> = {}): TrainingCourse {
  const loss: [number, number][] = Array.from({ length: step }, (_, i) => [i + 1, 3 - i / 7])
  return {
    step,
    seconds: step / 3,
    curves: {
      seed: 0,
      loss,
      eval: [[0, Math.PI]],
      forgetting: [],
      gradient_norm: loss,
      elapsed: [[0, 0]],
    },
    diverged: null,
    ...changes,
  }
}

const save = (states: TrainingStates, step: number): Promise<void> =>
  states.save(course(step), (folder) => writeFile(join(folder, 'layer'), `layer at ${step}`))

/** As another process finds them. */
async function found(
  root: string,
  { key = 'a', most = 100 } = {},
): Promise<{ step: number | null; layer: string; damages: string[] }> {
  const damages: string[] = []
  const latest = await new TrainingStates(root, true, { key }).latest(most, (d) => damages.push(d))
  const layer = latest ? await readFile(join(latest.folder, 'layer'), 'utf8') : ''
  return { step: latest?.course.step ?? null, layer, damages }
}

async function threeSaved(): Promise<{ root: string; folder: string; states: TrainingStates }> {
  const root = await tempFolder()
  const states = new TrainingStates(root, true, { key: 'a' })
  for (const step of [2, 9, 10]) await save(states, step)
  return { root, folder: states.folder, states }
}

describe('states of a training', () => {
  it('are the last two, and the newest is gone on with, curves and all', async () => {
    const { root, folder } = await threeSaved()
    expect((await readdir(folder)).map((name) => name.split('-')[1]).sort()).toEqual(['10', '9'])
    expect(await found(root)).toEqual({ step: 10, layer: 'layer at 10', damages: [] })
    const latest = await new TrainingStates(root, true, { key: 'a' }).latest(10, () => undefined)
    expect(latest?.course).toEqual(course(10))
  })

  it('of more steps than are wanted are passed over', async () => {
    const { root } = await threeSaved()
    expect(await found(root, { most: 9 })).toMatchObject({ step: 9, damages: [] })
    expect(await found(root, { most: 8 })).toMatchObject({ step: null, damages: [] })
  })

  it('of another training are not found', async () => {
    const { root } = await threeSaved()
    expect(await found(root, { key: 'b' })).toMatchObject({ step: null, damages: [] })
  })

  it.each<[string, (state: string) => Promise<void>]>([
    ['with a file cut short', (state) => truncate(join(state, 'layer'), 3)],
    ['with a file of other bytes', (state) => writeFile(join(state, 'layer'), 'layer at 11')],
    ['without its course', (state) => rm(join(state, 'course.json'))],
    ['without its checksums', (state) => rm(join(state, 'stage.json'))],
  ])('%s do not count: the one before does', async (_what, damage) => {
    const { root, folder } = await threeSaved()
    const newest = (await readdir(folder)).find((name) => name.startsWith('step-10-')) ?? ''
    await damage(join(folder, newest))
    expect(await found(root)).toMatchObject({
      step: 9,
      damages: [expect.stringContaining(newest) as unknown],
    })
    // What takes its place is whole again.
    await save(new TrainingStates(root, true, { key: 'a' }), 10)
    expect(await found(root)).toMatchObject({ step: 10, damages: [] })
  })

  it('are fewer once the training is over, and none when it is given up; how it ended stays', async () => {
    const { root, folder, states } = await threeSaved()
    await states.settle()
    expect(await readdir(folder)).toHaveLength(1)
    await states.end(10, course(10, { diverged: { step: 10, loss: 9 } }))
    await states.dropStates()
    expect(await found(root)).toMatchObject({ step: null, damages: [] })
    const again = new TrainingStates(root, true, { key: 'a' })
    expect((await again.ended(10))?.diverged).toEqual({ step: 10, loss: 9 })
    expect(await again.ended(11)).toBeNull()
  })

  it('of a folder that goes with the job are the newest only, and found by the job itself', async () => {
    const states = new TrainingStates(await tempFolder(), false, { key: 'a' })
    for (const step of [1, 2]) await save(states, step)
    expect(await readdir(states.folder)).toHaveLength(1)
    expect((await states.latest(2, () => undefined))?.course.step).toBe(2)
  })

  it('that could not be written leave nothing behind', async () => {
    const { root, folder, states } = await threeSaved()
    await expect(states.save(course(11), () => Promise.reject(new Error('no')))).rejects.toThrow(
      'no',
    )
    expect(await readdir(folder)).toHaveLength(2)
    expect(await found(root)).toMatchObject({ step: 10, damages: [] })
  })
})
