/** @file The files that texts are read from. */
import { AppError } from '@shared/errors'

export interface CheckedTexts {
  /** Of all files together, as they lie on the disk. */
  readonly bytes: number
  readonly files: number
  /** What was passed over, a sentence each. */
  readonly remarks: readonly string[]
}

/**
 * Finds out before any work whether there is something to read: files of a kind that is known, or folders of them.
 *
 * @throws AppError `bad_request`, `not_found`, `path_denied`.
 */
export function checkTexts(_paths: readonly string[]): Promise<CheckedTexts> {
  return Promise.reject(new AppError('bug', 'Not built yet.'))
}
