import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AppError } from '@shared/errors'
import { FilePool, readError, writeError } from '../../../../src/main/engine/checkpoint/files'
import { tempFolder } from '../../../support/tempFolder'

const failed = (code: string) => Object.assign(new Error('failed'), { code })

describe('a failed system call is told in the product’s terms:', () => {
  test.each([
    ['ENOSPC', 'not_enough_disk'],
    ['EDQUOT', 'not_enough_disk'],
    ['EACCES', 'path_denied'],
    ['EROFS', 'path_denied'],
    ['EIO', 'write_failed'],
  ])('writing, %s', (code, expected) => {
    const cause = failed(code)
    expect(writeError(cause, '/out')).toMatchObject({
      code: expected,
      cause,
      context: { file: '/out', actual: code },
    })
  })

  test.each([
    ['ENOENT', 'not_found'],
    ['EACCES', 'path_denied'],
    ['EIO', 'bad_checkpoint'],
  ])('reading, %s', (code, expected) => {
    expect(readError(failed(code), '/in')).toMatchObject({ code: expected })
  })

  test('what is no system error stays what it is', () => {
    const abort = new DOMException('stop', 'AbortError')
    const ours = new AppError('bug', 'ours')
    expect(writeError(abort, '/out')).toBe(abort)
    expect(writeError(ours, '/out')).toBe(ours)
    expect(readError(ours, '/in')).toBe(ours)
  })
})

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
