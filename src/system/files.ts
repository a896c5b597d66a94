/** @file Files and folders that must survive a crash and never be half of themselves. */
import { createHash, randomBytes } from 'node:crypto'
import { access, constants, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { systemCode, writeError } from './errors'
import { isAlive } from './processes'

/** A virus scanner or indexer may hold what was just written on Windows for a moment. */
const RENAME_ATTEMPTS = process.platform === 'win32' ? 8 : 1

/**
 * Replaces a file's content as a whole: after a crash there is the old one or the new one. The folder must exist: that
 * of a project which has been removed is not made again.
 *
 * @throws AppError `path_denied`, `not_enough_disk`, `write_failed`.
 */
export async function writeFileAtomic(file: string, content: string): Promise<void> {
  // Several machines may write a file that they share.
  const temporary = `${file}.${HOST}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const handle = await open(temporary, 'wx')
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await renameRetrying(temporary, file)
    await sweepTemporaries(file).catch(() => undefined)
    await syncFolder(dirname(file))
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw writeError(error, file)
  }
}

/** Names this machine in a file's name. */
const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)

/** Removes what processes of this machine left that died while they wrote the file. */
async function sweepTemporaries(file: string): Promise<void> {
  const start = `${basename(file)}.${HOST}.`
  for (const name of await readdir(dirname(file))) {
    const pid =
      name.startsWith(start) && /^(\d+)\.[0-9a-f]{12}\.tmp$/.exec(name.slice(start.length))?.[1]
    if (pid && !isAlive(Number(pid))) await rm(join(dirname(file), name), { force: true })
  }
}

/** {@link writeFileAtomic} of a value as JSON that people can read. */
export function writeJsonAtomic(file: string, value: unknown): Promise<void> {
  return writeFileAtomic(file, `${JSON.stringify(value, null, 2)}\n`)
}

/** {@link writeFileAtomic} of a value as JSON for programs; the folder is made if need be. */
export async function writeRecord(file: string, value: unknown): Promise<void> {
  await makeFolder(dirname(file)).catch((error: unknown) => {
    throw writeError(error, file)
  })
  await writeFileAtomic(file, `${JSON.stringify(value)}\n`)
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

export async function renameRetrying(from: string, to: string): Promise<void> {
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

/** Removes a folder with everything in it, or nothing when there is none. */
export function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}

/**
 * Makes a folder and those of its parents that are missing; returns the topmost that was made. `mkdir` with `recursive`
 * never returns where the system says ENOENT for ever, as in `/proc`.
 */
export async function makeFolder(folder: string): Promise<string | undefined> {
  const missing: string[] = []
  for (let at = resolve(folder); !(await exists(at)) && at !== dirname(at); at = dirname(at)) {
    missing.unshift(at)
  }
  for (const each of missing) {
    await mkdir(each).catch((error: unknown) => {
      // Somebody else was first.
      if (systemCode(error) !== 'EEXIST') throw error
    })
  }
  return missing[0]
}

/** Makes the folder if need be, and finds out whether files can be made in it. @throws AppError when they cannot. */
export async function requireWritable(folder: string): Promise<void> {
  try {
    await makeFolder(folder)
    await access(folder, constants.W_OK)
  } catch (error) {
    throw writeError(error, folder)
  }
}

/** Makes all that lies in a folder last a power cut: files, then folders. */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await syncTree(path)
    else if (entry.isFile()) {
      // Windows syncs only what may be written.
      const handle = await open(path, 'r+')
      await handle.sync().finally(() => handle.close())
    }
  }
  await syncFolder(folder)
}

/** Makes renames within a folder last a power cut, where the system can sync a folder. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null)
  try {
    await handle?.sync()
  } catch {
    // Windows and some network file systems cannot.
  } finally {
    await handle?.close()
  }
}
