import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { FilePool } from '../../../../src/main/engine/checkpoint/FilePool'
import { tempFolder } from '../../../support/tempFolder'

test('a file that could not be opened is tried again at the next read', async () => {
  const file = join(await tempFolder(), 'late')
  const pool = new FilePool()
  onTestFinished(() => pool.close())
  const target = new Uint8Array(2)
  await expect(pool.read(file, 0, target)).rejects.toMatchObject({ code: 'not_found' })
  await writeFile(file, 'abc')
  await pool.read(file, 1, target)
  expect([...target]).toEqual([0x62, 0x63])
})
