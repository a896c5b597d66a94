import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  appendTokens,
  openWindows,
  type TokenFile,
} from '../../../../src/main/engine/corpus/tokenFiles'
import { tempFolder } from '../../../support/tempFolder'

async function filesOf(...parts: readonly (readonly number[])[]): Promise<TokenFile[]> {
  const folder = await tempFolder()
  return Promise.all(
    parts.map(async (ids, index) => {
      const path = join(folder, `${index}.u32`)
      const handle = await open(path, 'wx')
      // In two portions: the second goes behind the first.
      for (const portion of [ids.slice(0, 2), ids.slice(2)]) {
        await appendTokens(handle, path, Int32Array.from(portion))
      }
      await handle.close()
      return { path, tokens: ids.length }
    }),
  )
}

test.each([
  ['in memory', 64e6],
  ['by position', 0],
])('windows run on from file to file, and the rest is dropped: read %s', async (_, memory) => {
  const files = await filesOf([0, 1, 2, 3, 4], [], [5], [6, 7, 8, 9, 10])
  const windows = await openWindows(files, 3, memory)
  expect([windows.length, windows.count]).toEqual([3, 3])
  const all = []
  for (let index = 0; index < windows.count; index += 1) all.push([...(await windows.at(index))])
  expect(all).toEqual([
    [0, 1, 2],
    [3, 4, 5],
    [6, 7, 8],
  ])
  for (const index of [-1, 3, Number.NaN]) await expect(windows.at(index)).rejects.toThrow()
  await windows.close()
})

test('a window belongs to whoever asked for it', async () => {
  const windows = await openWindows(await filesOf([1, 2, 3, 4]), 2)
  ;(await windows.at(0)).fill(9)
  expect([...(await windows.at(0))]).toEqual([1, 2])
  await windows.close()
})

test('closed files are not read', async () => {
  const windows = await openWindows(await filesOf([1, 2, 3, 4]), 2, 0)
  await windows.at(1)
  await windows.close()
  await expect(windows.at(0)).rejects.toThrow('closed')
})
