/**
 * @file Who holds a file or a folder, so that what a process left behind when it died can be taken over, and what a
 * living one works on cannot. Outputs and projects have a lock, a file that names its owner; a draft's owner is in its
 * folder's name, which is there as soon as the folder is.
 */
import { randomBytes } from 'node:crypto'
import { readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { AppError } from '@shared/errors'
import { systemCode } from './errors'
import { removeFolder } from './files'
import { beginOf, bootTime, isAlive } from './processes'

export interface Owner {
  readonly token: string
  readonly pid: number
  readonly host: string
  /** Of {@link beginOf}, where the system says. */
  readonly begin?: string
}

export interface Lock {
  /** It was somebody's who has died with it. */
  readonly isInherited: boolean
  release(): Promise<void>
}

/** Tries for a lock whose file is empty, or that changes hands at this moment. */
const ATTEMPTS = 10

/** Many times what an owner's names take. */
const MAX_LOCK_BYTES = 4096

/** How often what is held is touched, so that other machines see that somebody lives. */
const TOUCH_MS = 10 * 60_000

/** Of another machine: longer than a computation keeps its process from touching, and than clocks differ. */
const SILENCE_MS = 24 * 60 * 60_000

/** What a clock that was set a little, or a system's rough time of its start, may be off by. */
const CLOCK_MS = 60_000

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
 * Whether an owner may be at work still. Our own number was another's before us, as it often is where a container starts
 * again, unless we hold what it is about. Of another machine only its silence tells.
 *
 * @param touchedMs When the owner last signed or touched what it holds.
 */
export function mayLive({ token, pid, host, begin }: Owner, touchedMs: number): boolean {
  if (host !== hostname()) return Date.now() - touchedMs < SILENCE_MS
  if (pid === process.pid) return held.has(token)
  if (!isAlive(pid, begin)) return false
  if (begin !== undefined) return true
  // Where the system tells when processes began every owner says so; elsewhere none outlives the machine's start.
  return beginOf(pid) === null && touchedMs > bootTime() - CLOCK_MS
}

/** Signs with a file that must not be there. */
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

/** Whom a file names, if that one may be at work still. */
export async function livingOwner(file: string): Promise<Owner | null> {
  const owner = await readOwner(file)
  return owner !== null && mayLive(owner, await touchedMs(file)) ? owner : null
}

/** When a file or folder was last touched; 0 when it is not there. */
export async function touchedMs(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.mtimeMs ?? 0
}

/** Touches what is held from time to time, until it is told to stop. */
export function keepTouching(path: string): () => void {
  const touch = (): void => {
    const now = new Date()
    // It may have been removed by hand.
    utimes(path, now, now).catch(() => undefined)
  }
  const timer = setInterval(touch, TOUCH_MS).unref()
  return () => clearInterval(timer)
}

/**
 * Takes away a lock that nobody holds, under a name that tells of it until there is another one. What somebody else has
 * put in its place meanwhile stays.
 */
async function evict(file: string, owner: Owner | null): Promise<void> {
  const aside = `${file}-${randomBytes(4).toString('hex')}`
  try {
    await rename(file, aside)
  } catch (error) {
    // Somebody else was first.
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  const found = await readOwner(aside)
  const isSame = found?.token === owner?.token && found?.pid === owner?.pid
  if (!isSame) await rename(aside, file).catch(() => undefined)
}

/** Locks that were taken away, by this process or by others that may have died before they had one of their own. */
async function evictedOf(file: string): Promise<string[]> {
  const [folder, start] = [dirname(file), `${basename(file)}-`]
  return (await readdir(folder))
    .filter((name) => name.startsWith(start) && /^[0-9a-f]{8}$/.test(name.slice(start.length)))
    .map((name) => join(folder, name))
}

/**
 * Takes a lock: a file that names who holds it. One whose owner has died, or that names nobody, is taken over.
 *
 * @param refusal What to throw when its owner may live.
 * @param options.force Take it from whoever holds it.
 */
export async function acquireLock(
  file: string,
  refusal: (owner: Owner | null) => AppError,
  { force = false }: { readonly force?: boolean } = {},
): Promise<Lock> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const owner = own()
    if (await sign(file, owner)) return await lockOf(file, owner)
    disown(owner)
    const found = await readOwner(file)
    if (!force && found !== null && mayLive(found, await touchedMs(file))) throw refusal(found)
    const looks = found === null ? await stat(file).catch(() => null) : null
    // What no process of ours can have made is not ours to remove.
    if (looks && (!looks.isFile() || looks.size > MAX_LOCK_BYTES)) throw refusal(null)
    // Its owner makes the file, then writes it.
    const isBeingMade = looks?.size === 0
    if (isBeingMade && attempt < ATTEMPTS / 2) await wait(50)
    else await evict(file, found)
  }
  throw refusal(null)
}

/** Whether the lock is the owner's now. */
async function sign(file: string, owner: Owner): Promise<boolean> {
  try {
    await writeOwner(file, owner)
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    disown(owner)
    // A full disk leaves it empty.
    await rm(file, { force: true }).catch(() => undefined)
    throw error
  }
  // It may have been taken away while it was empty.
  return (await readOwner(file))?.token === owner.token
}

async function lockOf(file: string, owner: Owner): Promise<Lock> {
  const stopTouching = keepTouching(file)
  const evicted = await evictedOf(file).catch(() => [])
  // Not before there is a lock again: until then they alone say whose work lies here.
  for (const each of evicted) await rm(each, { force: true }).catch(() => undefined)
  return {
    isInherited: evicted.length > 0,
    async release() {
      stopTouching()
      // It may have been removed by hand, and be somebody else's by now.
      if ((await readOwner(file))?.token === owner.token) await rm(file, { force: true })
      disown(owner)
    },
  }
}

/** What ends the name of a folder that its owner is still filling. */
const DRAFT_SUFFIX = '.tmp'

/** The name of a draft of `name` that this process fills, under a token that it owns: `name.<host>.<pid>.<begin>.tmp`. */
export function draftName(name: string, { host, pid, begin }: Owner): string {
  return `${name}.${[host, pid, ...(begin === undefined ? [] : [begin])].join('.')}${DRAFT_SUFFIX}`
}

/**
 * Removes the drafts in a folder whose owners have died.
 *
 * @param tokenOf What this process calls a draft of its own.
 */
export async function sweepDrafts(
  folder: string,
  tokenOf: (draft: string) => string,
): Promise<void> {
  // What it is a draft of ends with a hexadecimal key; a host's name may hold dots itself.
  const pattern =
    /^.+?-[0-9a-f]{16}\.(?<host>.+?)\.(?<pid>\d+)(?:\.(?<begin>[A-Za-z0-9]+-[A-Za-z0-9-]+))?\.tmp$/
  for (const name of await readdir(folder)) {
    const { host, pid, begin } = pattern.exec(name)?.groups ?? {}
    if (host === undefined || pid === undefined) continue
    const draft = join(folder, name)
    const owner = { token: tokenOf(draft), host, pid: Number(pid), ...(begin && { begin }) }
    if (!mayLive(owner, await touchedMs(draft))) await removeFolder(draft)
  }
}
