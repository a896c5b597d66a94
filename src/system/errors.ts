/** @file Failed system calls in the product's terms. */
import { AppError, systemProblem, type ErrorCode } from '@shared/errors'

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
  const problem = systemProblem(error, { file: path, writes: false })
  if (problem && problem.code !== 'system_failed') return problem
  // Of too many open files the file is not to blame.
  if (problem && ['EMFILE', 'ENFILE', 'ESTALE'].includes(systemCode(error))) return problem
  return new AppError(otherwise, `${path} could not be read.`, {
    context: { file: path, actual: systemCode(error) || String(error).slice(0, 200) },
    cause: error,
  })
}

/** Says why `path` could not be written; other errors than the system's pass unchanged. */
export function writeError(error: unknown, path: string): unknown {
  if (error instanceof AppError) return error
  return systemProblem(error, { file: path, writes: true }) ?? error
}
