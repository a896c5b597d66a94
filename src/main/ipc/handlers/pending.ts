import { CALL_NAMES } from '@shared/contractNames'
import { AppError } from '@shared/errors'
import type { Handlers } from '../router'

/** An answer for every call that has no handler yet. */
export function pendingHandlers(): Handlers {
  const entries = CALL_NAMES.map((name) => [
    name,
    () => Promise.reject(new AppError('bug', `${name} is not available yet.`)),
  ])
  return Object.fromEntries(entries) as Handlers
}
