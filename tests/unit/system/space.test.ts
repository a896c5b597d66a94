import { join } from 'node:path'
import { freeSpaceAt } from '@system/space'
import { expect, it } from 'vitest'
import { tempFolder } from '../../support/tempFolder'

it('free space is that of the nearest folder that exists', async () => {
  const folder = await tempFolder()
  expect(await freeSpaceAt(join(folder, 'not', 'yet'))).toBeGreaterThan(0)
})
