import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { acquireLock, type Lock } from '@system/locks'

/**
 * Keeps two programs of one person (the desktop shell and `lesa serve`) from working on a project at once. The lock is
 * kept with the person's settings, not in the project's folder: what is in there may be sent to somebody else.
 *
 * @param folder Of the person, made if need be.
 * @throws AppError `in_use` when a process that may live has the project open.
 */
export async function lockProject(folder: string, id: string, project: string): Promise<Lock> {
  const file = join(folder, 'locks', `${id}.lock`)
  await mkdir(join(folder, 'locks'), { recursive: true })
  return acquireLock(
    file,
    (owner) =>
      new AppError('in_use', `${project} is open in another window of the program.`, {
        hint: `Close it there first, or remove ${file} if it is open nowhere.`,
        context: { file: project, ...(owner ? { actual: `process ${owner.pid}` } : {}) },
      }),
  )
}
