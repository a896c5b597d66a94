import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { recordFiles } from '../../../../src/main/engine/analysis/analyse'
import { writeFloats } from '../../../../src/main/engine/lesa/directions'
import { projectDirections } from '../../../../src/main/engine/queries/projectDirections'
import { tempFolder } from '../../../support/tempFolder'

/** A record of three base layers and a new one between the first two, far away from them. */
async function record(): Promise<string> {
  const folder = await tempFolder()
  await mkdir(join(folder, 'directions'))
  await writeFile(
    recordFiles.analysis(folder),
    JSON.stringify({
      schema_version: 1,
      layers: [
        { index: 0, isNew: false, source: 0, label: '0' },
        { index: 1, isNew: true, source: 0, label: '0½' },
        { index: 2, isNew: false, source: 1, label: '1' },
        { index: 3, isNew: false, source: 2, label: '2' },
      ],
      types: { q_proj: { norms: [], neighbourCosines: [], singularValues: null, energy: null } },
    }),
  )
  const directions = Float32Array.from(
    [
      [1, 0],
      [9, 9],
      [0, 1],
      [-1, 0],
    ].flat(),
  )
  await writeFloats(recordFiles.directions(folder, 'q_proj'), directions)
  return folder
}

describe('the picture of directions', () => {
  const ask = { type: 'q_proj', method: 'pca', seed: 0 } as const

  it('holds what was predicted', async () => {
    const { points, predicted } = await projectDirections({ folder: await record(), ...ask })
    expect(points.map(({ label, isPredicted }) => [label, isPredicted])).toEqual([
      ['0', false],
      ['0½', true],
      ['1', false],
      ['2', false],
    ])
    expect(predicted.map(({ index }) => index)).toEqual([1])
  })

  it('leaves out layers of which there is no direction: they have no such matrix, or are of another type', async () => {
    const folder = await record()
    const rows = [
      [1, 0],
      [0.5, 0.5],
      [0, 0],
      [0, 1],
    ]
    await writeFloats(recordFiles.directions(folder, 'q_proj'), Float32Array.from(rows.flat()))
    const { points, predicted } = await projectDirections({ folder, ...ask })
    expect(points.map(({ index }) => index)).toEqual([0, 1, 3])
    // Half way between the two that are left.
    expect(predicted).toEqual([{ index: 1, offMidpoint: 0 }])
  })

  it('holds the base layers alone, where they were, if the new ones are no predictions', async () => {
    const folder = await record()
    const all = await projectDirections({ folder, ...ask })
    const base = await projectDirections({ folder, ...ask, isBaseOnly: true })
    expect(base.predicted).toEqual([])
    expect(base.points).toEqual(all.points.filter(({ isNew }) => !isNew))
    expect(base.continuity).toEqual(all.continuity)
  })

  it.each([
    '',
    '{"schema_version":1,"lay',
    'null',
    '[]',
    '{}',
    '{"layers":[null],"types":{}}',
    '{"layers":[{"index":"0"}],"types":{"q_proj":{}}}',
    '{"layers":[],"types":{"q_proj":null}}',
    '{"layers":[],"types":{"q_proj":{"norms":[],"neighbourCosines":[],"energy":{},"singularValues":null}}}',
  ])('says that a damaged record is damaged: %j', async (text) => {
    const folder = await record()
    await writeFile(recordFiles.analysis(folder), text)
    await expect(projectDirections({ folder, ...ask })).rejects.toMatchObject({
      code: 'damaged_file',
      context: { file: recordFiles.analysis(folder) },
    })
  })

  it('says that damaged directions are damaged', async () => {
    const folder = await record()
    const file = recordFiles.directions(folder, 'q_proj')
    for (const values of [
      [1, 2, 3, 4, 5],
      [1, 2, 3, NaN],
    ]) {
      await writeFloats(file, Float32Array.from(values))
      await expect(projectDirections({ folder, ...ask })).rejects.toMatchObject({
        code: 'damaged_file',
        context: { file },
      })
    }
  })
})
