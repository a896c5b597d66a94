import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { writeError } from '@system/errors'
import { acquireLock, type Lock } from '@system/locks'

/**
 * Keeps two programs of one person (the desktop shell and `lesa serve`) from working on a project at once. The lock is
 * kept with the person's settings, not in the project's folder: what is in there may be sent to somebody else.
 *
 * @param folder Of the person, made if need be.
 * @param options.force Take it from whoever seems to hold it.
 * @throws AppError `in_use` when a process that may live has the project open; its context names the lock.
 */
export async function lockProject(
  folder: string,
  id: string,
  project: string,
  { force = false }: { readonly force?: boolean } = {},
): Promise<Lock> {
  const file = join(folder, 'locks', `${id}.lock`)
  try {
    await mkdir(join(folder, 'locks'), { recursive: true })
    return await acquireLock(
      file,
      (owner) =>
        new AppError('in_use', `${project} is open in another window of the program.`, {
          hint: `Close it there first. If it is open nowhere, open it anyway, or remove ${file}.`,
          context: {
            file,
            ...(owner ? { actual: `process ${owner.pid} of ${owner.host}` } : {}),
          },
        }),
      { force },
    )
  } catch (error) {
    throw writeError(error, file)
  }
}
