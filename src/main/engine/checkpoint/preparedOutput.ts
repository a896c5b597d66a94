import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '@shared/errors'
import { formatBytes } from '@shared/units'
import { systemCode, writeError } from '@system/errors'
import { removeFolder, renameRetrying, syncFolder } from '@system/files'
import { refuseHarm } from '@system/harm'
import { disown, evict, mayLive, own, readOwner, writeOwner, type Owner } from '@system/locks'
import { canonicalPath, existingFolder, isWithin } from '@system/paths'
import { freeSpaceAt } from '@system/space'

const ownerFile = (partial: string): string => join(partial, '.lesa-owner.json')
const SCRATCH_FOLDER = '.scratch'

/** Space kept free beside the checkpoint itself: headers, sidecars, the file system's own needs. */
export const DISK_MARGIN_BYTES = 64e6

/** The claimed output: a sibling `<out>.partial` folder that becomes `out` when it is complete. */
export interface PreparedOutput {
  /** Absolute, links resolved. */
  readonly out: string
  /** The `.partial` folder; what is in it becomes the output. */
  readonly partial: string
  /** A folder within it for the job's own temporary files; it never becomes part of the output. */
  readonly scratch: string
  /** Puts the finished folder in place of `out`; an older one is restored if that fails. */
  commit(): Promise<void>
  /** Removes the partial folder; safe to call more than once, and after `commit`. */
  discard(): Promise<void>
}

/** Outputs that this process holds. */
const held = new Set<string>()

/**
 * Claims an output folder. Nothing is written to `out` itself before `commit`.
 *
 * @param options.reads What the job reads: the output may be neither it, nor inside it, nor around it.
 * @throws AppError `output_exists` when `out` is there and may not be replaced, or another job is writing it;
 *   `path_denied`, `not_enough_disk`, `write_failed`.
 */
export async function prepareOutput(
  out: string,
  options: { readonly overwrite: boolean; readonly reads: readonly string[] },
): Promise<PreparedOutput> {
  const { overwrite, reads } = options
  const target = canonicalPath(out)
  refuseHarm(
    target,
    reads.map((path) => ({ path })),
  )
  await refuseExisting(target, overwrite)
  const partial = `${target}.partial`
  if (held.has(target)) throw busy(target, partial)
  held.add(target)
  // The topmost folder that had to be made, so that a job that fails leaves no empty parents behind.
  let madeParent: string | undefined
  const owner = own()
  let isHeld = true
  const release = () => {
    isHeld = false
    held.delete(target)
    disown(owner)
  }
  try {
    madeParent = await mkdir(dirname(target), { recursive: true })
    await claim(target, partial, owner)
  } catch (error) {
    await removeEmptyParents(target, madeParent)
    release()
    throw writeError(error, partial)
  }
  return {
    out: target,
    partial,
    scratch: join(partial, SCRATCH_FOLDER),
    async commit() {
      if (!isHeld) {
        throw new AppError('bug', 'The output is no longer held.', { context: { file: target } })
      }
      try {
        await rm(join(partial, SCRATCH_FOLDER), { recursive: true, force: true })
        await rm(ownerFile(partial), { force: true })
        await syncFolder(partial)
        await replace(target, partial, overwrite)
      } catch (error) {
        throw writeError(error, target)
      }
      release()
    },
    async discard() {
      if (!isHeld) return
      await removeFolder(partial)
      await removeEmptyParents(target, madeParent)
      release()
    },
  }
}

/**
 * Refuses when the file system of `folder` (or of its nearest parent that exists) has less room than needed.
 *
 * @throws AppError `not_enough_disk` with both numbers.
 */
export async function requireDiskSpace(folder: string, bytes: number): Promise<void> {
  const free = await freeSpaceAt(folder)
  const needed = bytes + DISK_MARGIN_BYTES
  // Some network file systems do not say; then writing will.
  if (free === null || free >= needed) return
  throw new AppError(
    'not_enough_disk',
    `The output needs ${formatBytes(needed)} of disk, ${formatBytes(free)} are free.`,
    {
      hint: 'Free some space or choose an output folder on another disk.',
      context: {
        file: existingFolder(folder),
        expected: `${needed} bytes`,
        actual: `${free} bytes`,
      },
    },
  )
}

async function refuseExisting(out: string, overwrite: boolean): Promise<void> {
  const entries = await entriesOf(out)
  if (entries === null || entries === 0 || overwrite) return
  throw new AppError('output_exists', `${out} exists and is not empty.`, {
    hint: 'Choose another folder, or allow it to be replaced (--overwrite).',
    context: { file: out },
  })
}

/** How many entries a folder has; `null` when there is none. @throws AppError when it is something else. */
async function entriesOf(out: string): Promise<number | null> {
  try {
    return (await readdir(out)).length
  } catch (error) {
    switch (systemCode(error)) {
      case 'ENOENT':
        return null
      case 'ENOTDIR':
        throw new AppError('output_exists', `${out} is a file.`, {
          hint: 'Choose another folder.',
          context: { file: out },
        })
      default:
        throw writeError(error, out)
    }
  }
}

/** Makes the partial folder ours; making a folder is the one step that only one process can win. */
async function claim(out: string, partial: string, owner: Owner): Promise<void> {
  try {
    await mkdir(partial)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    await takeOver(out, partial)
    await mkdir(partial).catch((again: unknown) => {
      throw systemCode(again) === 'EEXIST' ? busy(out, partial) : again
    })
  }
  try {
    await writeOwner(ownerFile(partial), owner)
    await mkdir(join(partial, SCRATCH_FOLDER))
  } catch (error) {
    await removeFolder(partial)
    throw error
  }
}

/** From the parent of `out` up to `topmost`, as long as they are empty. */
async function removeEmptyParents(out: string, topmost: string | undefined): Promise<void> {
  if (topmost === undefined) return
  try {
    for (let folder = dirname(out); isWithin(folder, topmost); folder = dirname(folder)) {
      await rmdir(folder)
    }
  } catch {
    // Somebody else uses it by now.
  }
}

/** Removes the partial folder of a job that ended without cleaning up. @throws AppError when it may be in use. */
async function takeOver(out: string, partial: string): Promise<void> {
  const owner = await readOwner(ownerFile(partial))
  if (owner === null) {
    // Between making the folder and signing it a job leaves an empty one.
    await rmdir(partial).catch(() => {
      throw busy(out, partial)
    })
    return
  }
  if (mayLive(owner)) throw busy(out, partial)
  await evict(partial, owner, ownerFile)
}

function busy(out: string, partial: string): AppError {
  return new AppError('output_exists', `Another job is writing ${out}.`, {
    hint: `Wait for it, choose another folder, or remove ${partial} if no job is running.`,
    context: { file: partial },
  })
}

async function replace(out: string, partial: string, overwrite: boolean): Promise<void> {
  // It may have appeared while the job ran.
  await refuseExisting(out, overwrite)
  const entries = await entriesOf(out)
  const aside = `${out}.replaced-${randomBytes(4).toString('hex')}`
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
  if (entries !== null && entries > 0) await removeFolder(aside)
}
