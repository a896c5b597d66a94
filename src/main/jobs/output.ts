import { lstat, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, parse, relative, resolve, sep } from 'node:path'
import { AppError } from '@shared/errors'
import type { JobSpec } from '@shared/jobs'

/** The folder that a job writes, resolved; `null` when it writes none. */
export function outputOf(spec: JobSpec): string | null {
  return 'out' in spec ? resolve(spec.out) : null
}

/** True when `inner` is `outer` or lies in it. File systems that ignore case are compared without it. */
export function isWithin(inner: string, outer: string): boolean {
  const fold = (path: string): string =>
    process.platform === 'linux' ? resolve(path) : resolve(path).toLowerCase()
  const path = relative(fold(outer), fold(inner))
  return path === '' || (path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path))
}

/**
 * Refuses an output that would take something else with it when it is replaced: the model itself, a folder around it
 * or in it, a drive, or the person's home.
 *
 * @throws AppError `path_denied`.
 */
export function checkOutput(spec: JobSpec): void {
  const out = outputOf(spec)
  if (out === null) return
  const sources = sourcesOf(spec)
  const reason = sources.some((source) => isWithin(source, out))
    ? 'it holds the model that is read'
    : sources.some((source) => isWithin(out, source))
      ? 'it lies in the folder of the model that is read'
      : out === parse(out).root || isWithin(homedir(), out)
        ? 'it holds much more than a checkpoint'
        : null
  if (reason === null) return
  throw new AppError('path_denied', `${out} cannot be the output folder: ${reason}.`, {
    hint: 'Choose a new folder beside the model.',
    context: { file: out, field: 'out' },
  })
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
  await rm(partial, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}
