/**
 * @file Who holds a file or a folder, so that what a process left behind when it died can be taken over, and what a
 * living one works on cannot.
 */
import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import type { AppError } from '@shared/errors'
import { systemCode } from './errors'
import { removeFolder } from './files'
import { beginOf, isAlive } from './processes'

export interface Owner {
  readonly token: string
  readonly pid: number
  readonly host: string
  /** Of {@link beginOf}, where the system says. */
  readonly begin?: string
}

export interface Lock {
  release(): Promise<void>
}

/** Tries for a lock whose file is empty, or that changes hands at this moment. */
const ATTEMPTS = 10

/** Tokens of what this process holds. */
const held = new Set<string>()

/** Names this process as the owner of something, until it is {@link disown}ed. */
export function own(token: string = randomBytes(16).toString('hex')): Owner {
  held.add(token)
  const begin = beginOf(process.pid)
  return { token, pid: process.pid, host: hostname(), ...(begin === null ? {} : { begin }) }
}

export function disown({ token }: Pick<Owner, 'token'>): void {
  held.delete(token)
}

/**
 * Whether an owner may be at work still; one on another machine may be. Our own number was another's before us, as it
 * often is where a container starts again, unless we hold what it is about.
 */
export function mayLive({ token, pid, host, begin }: Owner): boolean {
  if (host !== hostname()) return true
  return pid === process.pid ? held.has(token) : isAlive(pid, begin)
}

/** Signs a file or folder with a file that must not be there. */
export function writeOwner(file: string, owner: Owner): Promise<void> {
  return writeFile(file, JSON.stringify(owner), { flag: 'wx' })
}

/** Whom a file names; `null` when it is not there, or names nobody. */
export async function readOwner(file: string): Promise<Owner | null> {
  try {
    const json = JSON.parse(await readFile(file, 'utf8')) as Partial<Owner> | number | null
    // Earlier versions of the program wrote a lock's number only.
    const { token, pid, host, begin } =
      typeof json === 'number' ? { token: '', pid: json, host: hostname() } : (json ?? {})
    if (typeof token !== 'string' || typeof host !== 'string') return null
    if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0) return null
    return { token, pid, host, ...(typeof begin === 'string' ? { begin } : {}) }
  } catch {
    return null
  }
}

/**
 * Removes what an owner that has died left behind. What somebody else has put in its place meanwhile stays.
 *
 * @param ownerFile Of what has been moved to a path.
 */
export async function evict(
  path: string,
  owner: Owner | null,
  ownerFile: (path: string) => string = (file) => file,
): Promise<void> {
  const aside = `${path}-${randomBytes(4).toString('hex')}`
  try {
    await rename(path, aside)
  } catch (error) {
    // Somebody else was first.
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  const found = await readOwner(ownerFile(aside))
  const isSame = found?.token === owner?.token && found?.pid === owner?.pid
  await (isSame ? removeFolder(aside) : rename(aside, path))
}

/**
 * Takes a lock: a file that names who holds it. One whose owner has died, or that names nobody, is taken over.
 *
 * @param refusal What to throw when its owner may live.
 */
export async function acquireLock(
  file: string,
  refusal: (owner: Owner | null) => AppError,
): Promise<Lock> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const owner = own()
    try {
      await writeOwner(file, owner)
      return {
        async release() {
          // It may have been removed by hand, and be somebody else's by now.
          if ((await readOwner(file))?.token === owner.token) await rm(file, { force: true })
          disown(owner)
        },
      }
    } catch (error) {
      disown(owner)
      if (systemCode(error) !== 'EEXIST') throw error
    }
    const found = await readOwner(file)
    if (found !== null && mayLive(found)) throw refusal(found)
    // Its owner makes the file, then writes it.
    const isBeingMade = found === null && (await stat(file).catch(() => null))?.size === 0
    if (isBeingMade && attempt < ATTEMPTS / 2) await wait(50)
    else await evict(file, found)
  }
  throw refusal(null)
}
