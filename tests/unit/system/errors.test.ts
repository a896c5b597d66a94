import { AppError, toAppError } from '@shared/errors'
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

  test.each([
    ['ENOSPC', 'write', 'not_enough_disk'],
    ['EDQUOT', 'write', 'not_enough_disk'],
    ['EFBIG', 'write', 'write_failed'],
    ['EROFS', 'mkdir', 'path_denied'],
    ['EACCES', 'open', 'path_denied'],
    ['ENAMETOOLONG', 'mkdir', 'path_denied'],
    ['EMFILE', 'open', 'system_failed'],
    ['ENFILE', 'open', 'system_failed'],
    ['EIO', 'read', 'system_failed'],
    ['EIO', 'fsync', 'write_failed'],
    ['ESTALE', 'stat', 'system_failed'],
    ['ENOENT', 'scandir', 'not_found'],
    ['ENOENT', 'rename', 'write_failed'],
    ['ENOMEM', 'read', 'not_enough_memory'],
  ])('whoever meets it, %s of %s is no defect', (code, syscall, expected) => {
    const cause = Object.assign(failed(code), { syscall, path: '/at' })
    expect(toAppError(cause)).toMatchObject({
      code: expected,
      cause,
      context: { file: '/at', actual: code },
    })
  })

  test.each([
    new RangeError('Array buffer allocation failed'),
    new RangeError('WebAssembly.Memory(): could not allocate memory'),
    new RangeError('WebAssembly.instantiate(): Out of memory: Cannot allocate Wasm memory'),
    new Error('std::bad_alloc'),
    new Error('Failed to allocate memory for requested buffer of size 4294967296'),
    Object.assign(new Error('stopped'), { code: 'ERR_WORKER_OUT_OF_MEMORY' }),
  ])('memory that is not there is no defect: %s', (thrown) => {
    expect(toAppError(thrown)).toMatchObject({
      code: 'not_enough_memory',
      hint: expect.stringContaining('--memory') as string,
    })
  })

  test('an array that cannot be had is told so', () => {
    let thrown: unknown
    try {
      thrown = new Float32Array(2 ** 34)
    } catch (error) {
      thrown = error
    }
    expect(toAppError(thrown).code).toBe('not_enough_memory')
  })

  test.each([new RangeError('Invalid array length'), new TypeError('x is not a function'), 'text'])(
    'a defect is one: %s',
    (thrown) => {
      expect(toAppError(thrown).code).toBe('bug')
    },
  )

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
