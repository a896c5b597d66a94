import { randomBytes } from 'node:crypto'
import {
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises'
import { homedir, hostname } from 'node:os'
import { dirname, join, parse, relative, resolve, sep } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError } from '@shared/errors'
import { formatBytes } from '@shared/units'
import { systemCode, writeError } from './files'

const OWNER_FILE = '.lesa-owner.json'
const SCRATCH_FOLDER = '.scratch'

/** A virus scanner or indexer may hold a Windows folder for a moment after its files are closed. */
const RENAME_ATTEMPTS = process.platform === 'win32' ? 8 : 1

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

/** Who holds a partial folder, so that a dead owner's can be taken over. */
interface Owner {
  readonly token: string
  readonly pid: number
  readonly host: string
}

/** Outputs that this process holds. */
const held = new Set<string>()

/**
 * Claims an output folder. Nothing is written to `out` itself before `commit`.
 *
 * @param options.model The checkpoint being read, if any: the output may be neither it, nor inside it, nor around it.
 * @throws AppError `output_exists` when `out` is there and may not be replaced, or another job is writing it;
 *   `path_denied`, `not_enough_disk`, `write_failed`.
 */
export async function prepareOutput(
  out: string,
  options: { readonly overwrite: boolean; readonly model?: string },
): Promise<PreparedOutput> {
  const { overwrite } = options
  const target = await canonical(out)
  await refuseHarm(target, options.model === undefined ? null : await canonical(options.model))
  await refuseExisting(target, overwrite)
  const partial = `${target}.partial`
  if (held.has(target)) throw busy(target, partial)
  held.add(target)
  // The topmost folder that had to be made, so that a job that fails leaves no empty parents behind.
  let madeParent: string | undefined
  try {
    madeParent = await mkdir(dirname(target), { recursive: true })
    const owner: Owner = {
      token: randomBytes(16).toString('hex'),
      pid: process.pid,
      host: hostname(),
    }
    await claim(target, partial, owner)
  } catch (error) {
    await removeEmptyParents(target, madeParent)
    held.delete(target)
    throw writeError(error, partial)
  }
  let isHeld = true
  const release = () => {
    isHeld = false
    held.delete(target)
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
        await rm(join(partial, OWNER_FILE), { force: true })
        await syncFolder(partial)
        await replace(target, partial, overwrite)
      } catch (error) {
        throw writeError(error, target)
      }
      release()
    },
    async discard() {
      if (!isHeld) return
      await rm(partial, { recursive: true, force: true, maxRetries: RENAME_ATTEMPTS })
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
  const existing = await nearestExisting(resolve(folder))
  const stats = await statfs(existing).catch(() => null)
  // Some network file systems do not say; then writing will.
  if (!stats || stats.blocks === 0) return
  const free = stats.bavail * stats.bsize
  const needed = bytes + DISK_MARGIN_BYTES
  if (free >= needed) return
  throw new AppError(
    'not_enough_disk',
    `The output needs ${formatBytes(needed)} of disk, ${formatBytes(free)} are free.`,
    {
      hint: 'Free some space or choose an output folder on another disk.',
      context: { file: existing, expected: `${needed} bytes`, actual: `${free} bytes` },
    },
  )
}

/** Absolute, with the links of the part that exists resolved, so that one folder has one name. */
async function canonical(path: string): Promise<string> {
  const absolute = resolve(path)
  const existing = await nearestExisting(absolute)
  return join(await realpath(existing), relative(existing, absolute))
}

async function nearestExisting(path: string): Promise<string> {
  let current = path
  for (;;) {
    try {
      await lstat(current)
      // A link to nothing exists, but leads nowhere.
      await stat(current)
      return current
    } catch (error) {
      const parent = dirname(current)
      if (parent === current) throw writeError(error, path)
      current = parent
    }
  }
}

function contains(outer: string, inner: string): boolean {
  const path = relative(outer, inner)
  return path === '' || (path !== '..' && !path.startsWith(`..${sep}`) && parse(path).root === '')
}

/** Replacing `out` must never take the model, or the folder somebody lives in, with it. */
async function refuseHarm(out: string, model: string | null): Promise<void> {
  const denied = (what: string) =>
    new AppError('path_denied', `${out} cannot be the output: it ${what}.`, {
      hint: 'Choose a new folder outside the model.',
      context: { file: out },
    })
  if (model !== null && contains(model, out)) throw denied('is the model itself or lies inside it')
  if (model !== null && contains(out, model)) throw denied('contains the model')
  if (dirname(out) === out) throw denied('is the root of a disk')
  if (contains(out, await canonical(homedir()))) throw denied('contains your home folder')
  if (contains(out, await canonical(process.cwd()))) throw denied('contains the current folder')
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
    await evict(out, partial)
    await mkdir(partial).catch((again: unknown) => {
      throw systemCode(again) === 'EEXIST' ? busy(out, partial) : again
    })
  }
  try {
    await writeFile(join(partial, OWNER_FILE), JSON.stringify(owner))
    await mkdir(join(partial, SCRATCH_FOLDER))
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  }
}

/** From the parent of `out` up to `topmost`, as long as they are empty. */
async function removeEmptyParents(out: string, topmost: string | undefined): Promise<void> {
  if (topmost === undefined) return
  try {
    for (let folder = dirname(out); contains(topmost, folder); folder = dirname(folder)) {
      await rmdir(folder)
    }
  } catch {
    // Somebody else uses it by now.
  }
}

/** Removes the partial folder of a job that ended without cleaning up. @throws AppError when it may be in use. */
async function evict(out: string, partial: string): Promise<void> {
  const owner = await readOwner(partial)
  if (owner === null) {
    // Between making the folder and signing it a job leaves an empty one.
    await rmdir(partial).catch(() => {
      throw busy(out, partial)
    })
    return
  }
  if (owner.host !== hostname() || isAlive(owner.pid)) throw busy(out, partial)
  const aside = `${partial}-${randomBytes(4).toString('hex')}`
  await rename(partial, aside)
  if ((await readOwner(aside))?.token !== owner.token) {
    // Somebody else evicted it first and this one is theirs.
    await rename(aside, partial)
    throw busy(out, partial)
  }
  await rm(aside, { recursive: true, force: true })
}

async function readOwner(partial: string): Promise<Owner | null> {
  try {
    const owner = JSON.parse(await readFile(join(partial, OWNER_FILE), 'utf8')) as Partial<Owner>
    const { token, pid, host } = owner
    if (typeof token !== 'string' || !Number.isInteger(pid) || typeof host !== 'string') return null
    return { token, pid: Number(pid), host }
  } catch {
    return null
  }
}

function isAlive(pid: number): boolean {
  // This process holds what `held` says and nothing else: the number was another's before.
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) !== 'ESRCH'
  }
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
  else if (entries !== null) await renameFolder(out, aside)
  try {
    await renameFolder(partial, out)
  } catch (error) {
    if (entries === 0) await mkdir(out)
    else if (entries !== null) await renameFolder(aside, out)
    throw error
  }
  await syncFolder(dirname(out))
  if (entries !== null && entries > 0)
    await rm(aside, { recursive: true, force: true, maxRetries: 3 })
}

async function renameFolder(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await rename(from, to)
      return
    } catch (error) {
      const passing = ['EPERM', 'EACCES', 'EBUSY'].includes(systemCode(error))
      if (!passing || attempt >= RENAME_ATTEMPTS) throw error
      await wait(50 * 2 ** attempt)
    }
  }
}

/** Makes renames within a folder last a power cut, where the platform can sync a folder. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null)
  try {
    await handle?.sync()
  } catch {
    // Windows and some network file systems cannot.
  } finally {
    await handle?.close()
  }
}
