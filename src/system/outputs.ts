/**
 * @file A folder that appears complete or not at all, whenever its process is killed. Beside `out` lie, as long as a job
 * holds it, the lock `out.partial.lock` and the folder `out.partial` in which it works; and between the two renames of a
 * replacement the folder `out.replaced-XXXXXXXX`, which is always whole. Whoever takes the lock next finds out from these
 * names what was going on, and leaves nothing of it.
 */
import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, rmdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { AppError } from '@shared/errors'
import { systemCode } from './errors'
import { removeFolder, renameRetrying, syncFolder, syncTree } from './files'
import { acquireLock, livingOwner, type Lock, type Owner } from './locks'

export const partialOf = (out: string): string => `${out}.partial`
export const lockOf = (out: string): string => `${out}.partial.lock`
const replacedOf = (out: string, mark: string): string => `${out}.replaced-${mark}`

/** The longest names that a job gives beside `out`. */
export const siblingsOf = (out: string): string[] => [
  replacedOf(out, '00000000'),
  `${lockOf(out)}-00000000`,
]

/** Earlier versions of the program signed the partial folder itself. */
const formerOwnerFile = (out: string): string => join(partialOf(out), '.lesa-owner.json')

export interface LockOptions {
  /** What to throw when a job that may live holds the output. */
  readonly refusal: (owner: Owner | null) => AppError
  /** What to throw when the partial folder's name is taken by something that no job can have left. */
  readonly obstacle: () => AppError
}

/**
 * Takes the lock of an output and puts in order what a job left that was killed: an output that it had moved aside is
 * put back, its unfinished work is removed.
 */
export async function lockOutput(out: string, options: LockOptions): Promise<Lock> {
  const lock = await acquireLock(lockOf(out), options.refusal)
  try {
    const former = await livingOwner(formerOwnerFile(out))
    if (former) throw options.refusal(former)
    await putBack(out)
    await removePartial(out, lock, options)
    return lock
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function removePartial(
  out: string,
  { isInherited }: Lock,
  { obstacle }: LockOptions,
): Promise<void> {
  const partial = partialOf(out)
  const names = await readdir(partial).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null
    if (systemCode(error) === 'ENOTDIR') throw obstacle()
    throw error
  })
  if (names === null) return
  // Where there was a lock it is what its owner left; without one it may be a folder that a person named so.
  if (!isInherited && names.length > 0 && !names.some(isOurs)) throw obstacle()
  await removeFolder(partial)
}

/** Whether a file lies where a checkpoint is written, and hardly elsewhere. */
function isOurs(name: string): boolean {
  return (
    ['.lesa-owner.json', '.scratch', 'config.json'].includes(name) || name.endsWith('.safetensors')
  )
}

/** Ends a replacement that was killed between its renames, and removes what one that was killed later left. */
async function putBack(out: string): Promise<void> {
  const folder = dirname(out)
  const start = replacedOf(basename(out), '')
  const replaced = (await readdir(folder))
    .filter((name) => name.startsWith(start) && /^[0-9a-f]{8}$/.test(name.slice(start.length)))
    .map((name) => join(folder, name))
  for (const path of replaced) {
    const isThere = await lstat(out).then(
      () => true,
      () => false,
    )
    if (!isThere) {
      await renameRetrying(path, out)
      await syncFolder(folder)
    } else {
      await removeFolder(path)
    }
  }
}

/**
 * Puts the finished partial folder in place of `out`; an older folder there is put back if that fails. The lock must be
 * held.
 *
 * @param entries How many `out` has; `null` when there is none.
 */
export async function replaceOutput(out: string, entries: number | null): Promise<void> {
  const partial = partialOf(out)
  const aside = replacedOf(out, randomBytes(4).toString('hex'))
  await syncTree(partial)
  if (entries === 0) await rmdir(out)
  else if (entries !== null) await renameRetrying(out, aside)
  try {
    await renameRetrying(partial, out)
  } catch (error) {
    if (entries === 0) await mkdir(out)
    else if (entries !== null) await renameRetrying(aside, out)
    throw error
  }
  await syncFolder(dirname(out))
  if (entries === null || entries === 0) return
  try {
    // Under this name nobody takes what is left of it, if this is where the process ends, for a whole folder.
    await renameRetrying(aside, partial)
    await removeFolder(partial)
  } catch {
    // The output is there. Whoever takes the lock next tries again.
  }
}

/**
 * Puts in order what a job left whose process has ended, as far as the system allows; the next job at that place does the
 * rest. Of a job that may live nothing is touched.
 */
export async function clearLeftovers(out: string): Promise<void> {
  const busy = (): AppError => new AppError('output_exists', `Another job is writing ${out}.`)
  const lock = await lockOutput(out, { refusal: busy, obstacle: busy }).catch(() => null)
  await lock?.release()
}
