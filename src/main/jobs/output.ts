import { lstat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { JobSpec } from '@shared/jobs'
import { removeFolder } from '@system/files'
import { refuseHarm } from '@system/harm'

/** The folder that a job writes, resolved; `null` when it writes none. */
export function outputOf(spec: JobSpec): string | null {
  return 'out' in spec ? resolve(spec.out) : null
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
    sourcesOf(spec).map((path) => ({ path })),
  )
}

/** The folders or files that a job with an output reads. */
function sourcesOf(spec: JobSpec): string[] {
  switch (spec.kind) {
    case 'expand':
      return [resolve(spec.model)]
    case 'export':
      return [resolve(spec.model), resolve(spec.base)]
    case 'synth':
      return 'config' in spec.like ? [resolve(spec.like.config)] : []
    case 'evaluate':
    case 'statistics':
    case 'stages':
    case 'assemble':
      return []
  }
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
