import { constants } from 'node:fs'
import { access, lstat, mkdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '@shared/errors'
import { writeError } from '@system/errors'
import { makeFolder, removeFolder } from '@system/files'
import { refuseHarm } from '@system/harm'
import { lockOf, lockOutput, partialOf, replaceOutput, siblingsOf } from '@system/outputs'
import { canonicalPath, existingFolder, isWithin } from '@system/paths'
import type { Lock } from '@system/locks'
import { requireRoom, type Room } from '@system/space'
import { destinationAt, obstacleAt, type Replaceable } from './destination'

const SCRATCH_FOLDER = '.scratch'

/** About as long as the longest path within an output: a stage's file in a draft in the scratch folder. */
const LONGEST_WITHIN = join(SCRATCH_FOLDER, 'x'.repeat(120), 'singular_values.f32')

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

export interface OutputRequest {
  readonly overwrite: boolean
  /** What may be replaced then: a checkpoint, or what a race of trainings made. */
  readonly replaces?: Replaceable
  /** What the job reads: the output may be neither it, nor inside it, nor around it. */
  readonly reads: readonly string[]
  /** What the job will write there, its scratch files included. */
  readonly bytes: number
  /** What it will write elsewhere. */
  readonly alsoNeeds?: readonly Room[]
}

/**
 * Claims an output folder, and finds out before any work whether the job could write there at its end. Nothing is
 * written to `out` itself before `commit`.
 *
 * @throws AppError `output_exists` when something is there that may not be replaced, or another job is writing it;
 *   `path_denied`, `not_enough_disk`, `write_failed`.
 */
export async function prepareOutput(out: string, request: OutputRequest): Promise<PreparedOutput> {
  const { overwrite, reads, bytes, alsoNeeds = [], replaces = 'checkpoint' } = request
  const target = canonicalPath(out)
  refuseHarm(
    target,
    reads.map((path) => ({ path })),
  )
  const partial = partialOf(target)
  const scratch = join(partial, SCRATCH_FOLDER)
  // The topmost folder that had to be made, so that a job that fails leaves no empty parents behind.
  let madeParent: string | undefined
  let lock: Lock | null = null
  try {
    madeParent = await makeFolder(dirname(target))
    await requireNames(target)
    lock = await lockOutput(target, {
      refusal: () => busy(target),
      obstacle: () => inTheWay(partial),
    })
    await refuseExisting(target, overwrite, replaces)
    await mkdir(partial)
    await mkdir(scratch)
    await requireRoom([{ path: partial, bytes }, ...alsoNeeds])
  } catch (error) {
    if (lock) await removeFolder(partial)
    await lock?.release()
    await removeEmptyParents(target, madeParent)
    throw writeError(error, partial)
  }
  const held = lock
  let isHeld = true
  const release = async (): Promise<void> => {
    isHeld = false
    await held.release()
  }
  return {
    out: target,
    partial,
    scratch,
    async commit() {
      if (!isHeld) {
        throw new AppError('bug', 'The output is no longer held.', { context: { file: target } })
      }
      try {
        await rm(scratch, { recursive: true, force: true })
        // Something may have appeared while the job ran.
        const found = await refuseExisting(target, overwrite, replaces)
        await replaceOutput(target, found)
      } catch (error) {
        throw writeError(error, target)
      }
      await release()
    },
    async discard() {
      if (!isHeld) return
      await removeFolder(partial)
      await release()
      await removeEmptyParents(target, madeParent)
    },
  }
}

/** How many entries the folder has that may be replaced; `null` when there is none. */
async function refuseExisting(
  out: string,
  overwrite: boolean,
  replaces: Replaceable,
): Promise<number | null> {
  const found = await destinationAt(out)
  const obstacle = obstacleAt(out, found, overwrite, replaces)
  if (obstacle) throw obstacle
  return found.names?.length ?? null
}

/**
 * Looks, without writing, whether an output could be made there.
 *
 * @throws AppError `path_denied` when the folder may not be written to, or a name is too long for it.
 */
export async function probeOutput(out: string): Promise<void> {
  const target = canonicalPath(out)
  try {
    await requireNames(target)
    await access(existingFolder(dirname(target)), constants.W_OK)
  } catch (error) {
    throw writeError(error, target)
  }
}

/** Asks the system whether it could find files of the names that an output takes. @throws AppError `path_denied` when they are too long. */
async function requireNames(target: string): Promise<void> {
  for (const path of [...siblingsOf(target), join(partialOf(target), LONGEST_WITHIN)]) {
    await lstat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENAMETOOLONG') throw error
    })
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

function busy(out: string): AppError {
  return new AppError('output_exists', `Another job is writing ${out}.`, {
    hint: `Wait for it, choose another folder, or remove ${lockOf(out)} and ${partialOf(out)} if no job is running.`,
    context: { file: lockOf(out) },
  })
}

function inTheWay(partial: string): AppError {
  return new AppError('output_exists', `${partial} is in the way, and no job has made it.`, {
    hint: 'Choose another folder, or move that one elsewhere.',
    context: { file: partial },
  })
}
