import { lstat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { pathsOf, type JobSpec } from '@shared/jobs'
import { removeFolder } from '@system/files'
import { refuseHarm } from '@system/harm'

/** The folder that a job writes, resolved; `null` when it writes none. */
export function outputOf(spec: JobSpec): string | null {
  const [out] = pathsOf(spec, 'writes')
  return out === undefined ? null : resolve(out)
}

/**
 * Refuses an output that would take something else with it when it is replaced, such as the model.
 *
 * @throws AppError `path_denied`.
 */
export function checkOutput(spec: JobSpec): void {
  const out = outputOf(spec)
  if (out === null) return
  refuseHarm(
    out,
    pathsOf(spec, 'reads').map((source) => ({ path: resolve(source) })),
  )
}

/** The checkpoint writer works in a sibling of the output and renames it at the end. */
function partialOf(spec: JobSpec): string | null {
  const out = outputOf(spec)
  return out === null || out === dirname(out) ? null : `${out}.partial`
}

/** Tells one folder from another that later has its name; `null` when there is none. */
export async function identifyPartialOutput(spec: JobSpec): Promise<string | null> {
  const partial = partialOf(spec)
  const found = partial === null ? null : await lstat(partial).catch(() => null)
  return found?.isDirectory() ? `${found.dev}:${found.ino}:${found.birthtimeMs}` : null
}

/**
 * Removes the unfinished output of a job whose engine ended before it could do so itself.
 *
 * @param foreign What {@link identifyPartialOutput} said before the job: a folder of that identity belongs to another
 * program at work and stays.
 */
export async function removePartialOutput(spec: JobSpec, foreign: string | null): Promise<void> {
  const partial = partialOf(spec)
  const found = await identifyPartialOutput(spec)
  if (partial === null || found === null || found === foreign) return
  await removeFolder(partial)
}
