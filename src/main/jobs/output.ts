import { dirname, resolve } from 'node:path'
import { pathsOf, type JobSpec } from '@shared/jobs'
import { refuseHarm } from '@system/harm'
import { clearLeftovers } from '@system/outputs'
import { canonicalPath } from '@system/paths'

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

/** Puts in order what a job left whose engine ended before it could do so itself. */
export async function clearOutput(spec: JobSpec): Promise<void> {
  const out = outputOf(spec)
  if (out !== null && out !== dirname(out)) await clearLeftovers(canonicalPath(out))
}
