import { homedir } from 'node:os'
import { dirname } from 'node:path'
import { AppError } from '@shared/errors'
import { hubCacheFolder } from './hubCache'
import { canonicalPath, isWithin } from './paths'

/** A file or folder that an output must not take along. */
export interface Kept {
  readonly path: string
  /** What people call it. */
  readonly what?: string
}

/**
 * Says why `out` cannot be an output folder: writing there, or replacing what is there, would take something else along:
 * what is read, a disk, or the folder that somebody lives or works in. `null` when it can.
 */
export function harmOf(out: string, kept: readonly Kept[]): string | null {
  const reason = reasonAgainst(out, kept)
  return reason && `${out} cannot be the output folder: it ${reason}.`
}

/** @throws AppError `path_denied` when {@link harmOf} has something to say. */
export function refuseHarm(out: string, kept: readonly Kept[]): void {
  const harm = harmOf(out, kept)
  if (harm === null) return
  throw new AppError('path_denied', harm, {
    hint: 'Choose a new folder beside the model.',
    context: { file: out, field: 'out' },
  })
}

function reasonAgainst(out: string, kept: readonly Kept[]): string | null {
  for (const { path, what = 'the model that is read' } of kept) {
    if (isWithin(path, out)) return `holds ${what}`
    if (isWithin(out, path)) return `lies in the folder of ${what}`
  }
  const real = canonicalPath(out)
  if (dirname(real) === real) return 'is a whole disk'
  if (isWithin(homedir(), out)) return 'holds your home folder'
  if (isWithin(process.cwd(), out)) return 'holds the current folder'
  const cache = hubCacheFolder()
  if (isWithin(out, cache)) return 'lies in the Hugging Face cache'
  if (isWithin(cache, out)) return 'holds the Hugging Face cache'
  return null
}
