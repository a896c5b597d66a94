import { AppError } from '@shared/errors'
import { readError, systemCode, writeError } from '@system/errors'
import { describe, expect, test } from 'vitest'

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
    expect(readError(failed(code), '/in')).toMatchObject({
      code: expected,
      context: { file: '/in', actual: code },
    })
  })

  test('reading what exists and may be read, as whoever reads it calls that', () => {
    expect(readError(failed('EISDIR'), '/in', 'damaged_file')).toMatchObject({
      code: 'damaged_file',
    })
    expect(readError(new RangeError('too long'), '/in')).toMatchObject({
      code: 'bad_checkpoint',
      context: { actual: 'RangeError: too long' },
    })
  })

  test('what is no system error stays what it is', () => {
    const abort = new DOMException('stop', 'AbortError')
    const ours = new AppError('bug', 'ours')
    expect(writeError(abort, '/out')).toBe(abort)
    expect(writeError(ours, '/out')).toBe(ours)
    expect(readError(ours, '/in')).toBe(ours)
  })
})

test.each([
  [failed('EIO'), 'EIO'],
  [{ code: 5 }, ''],
  [null, ''],
  ['EIO', ''],
])('the code of %j', (error, code) => {
  expect(systemCode(error)).toBe(code)
})
