/** @file Failed system calls in the product's terms. */
import { AppError, type ErrorCode } from '@shared/errors'

/** The code of a failed system call (`ENOENT`, …), or the empty string. */
export function systemCode(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

/**
 * Says why `path` could not be read; an {@link AppError} passes unchanged.
 *
 * @param otherwise What it is when it exists and may be read, and still cannot be.
 */
export function readError(
  error: unknown,
  path: string,
  otherwise: ErrorCode = 'bad_checkpoint',
): AppError {
  if (error instanceof AppError) return error
  const code = systemCode(error)
  const options = { context: { file: path, actual: code || String(error) }, cause: error }
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new AppError('not_found', `${path} does not exist.`, options)
    case 'EACCES':
    case 'EPERM':
      return new AppError('path_denied', `${path} may not be read.`, {
        ...options,
        hint: 'Check its permissions.',
      })
    default:
      return new AppError(otherwise, `${path} could not be read.`, options)
  }
}

/** Says why `path` could not be written; other errors than the system's pass unchanged. */
export function writeError(error: unknown, path: string): unknown {
  const code = systemCode(error)
  if (error instanceof AppError || !/^E[A-Z0-9]+$/.test(code)) return error
  const options = { context: { file: path, actual: code }, cause: error }
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new AppError('not_enough_disk', `The disk became full while writing ${path}.`, {
        ...options,
        hint: 'Free some space or choose a folder on another disk.',
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new AppError('path_denied', `${path} may not be written.`, {
        ...options,
        hint: 'Choose a folder that you may write to, or change its permissions.',
      })
    default:
      return new AppError('write_failed', `${path} could not be written (${code}).`, options)
  }
}
