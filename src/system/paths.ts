/**
 * @file Which folder a path means, whatever it is called. Links, case, short names and Unicode forms give one folder many
 * names; where it exists its number on its file system tells, so that nothing has to be assumed about names.
 */
import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

/** As many as systems follow. */
const MAX_LINKS = 40

/** Where a path leads: the part of it that exists, links resolved, and the names that do not exist yet. */
interface Place {
  readonly existing: string
  readonly missing: readonly string[]
}

/** Absolute, with links resolved, also those that lead to what does not exist yet. */
export function canonicalPath(path: string): string {
  const { existing, missing } = placeOf(path)
  return join(existing, ...missing)
}

/** The nearest folder that exists: the path itself, or a parent of it; links resolved. */
export function existingFolder(path: string): string {
  const { existing } = placeOf(path)
  return statSync(existing, { throwIfNoEntry: false })?.isFile() ? dirname(existing) : existing
}

/** Whether `inner` is `outer` or lies in it; either need not exist. */
export function isWithin(inner: string, outer: string): boolean {
  const [a, b] = [placeOf(inner), placeOf(outer)]
  const target = identityOf(b.existing)
  // Electron gives what is in an archive another number every time.
  const isTarget = (path: string): boolean => path === b.existing || identityOf(path) === target
  if (b.missing.length === 0) return lineOf(a.existing).some(isTarget)
  if (!isTarget(a.existing)) return false
  const fold = ignoresCase(b.existing)
    ? (name: string): string => name.normalize('NFC').toLowerCase()
    : (name: string): string => name
  return b.missing.every((name, at) => fold(a.missing[at] ?? '') === fold(name))
}

function placeOf(path: string, links = 0): Place {
  const missing: string[] = []
  for (let at = resolve(path); ; at = dirname(at)) {
    try {
      return { existing: realpathSync.native(at), missing }
    } catch {
      const target = links < MAX_LINKS ? linkAt(at) : null
      if (target !== null) {
        const { existing, missing: before } = placeOf(target, links + 1)
        return { existing, missing: [...before, ...missing] }
      }
      // A drive that is not there.
      if (at === dirname(at)) return { existing: at, missing }
      missing.unshift(basename(at))
    }
  }
}

/** Where a link leads, though nothing is there; `null` for what is no link. */
function linkAt(path: string): string | null {
  try {
    if (!lstatSync(path).isSymbolicLink()) return null
    return resolve(realpathSync.native(dirname(path)), readlinkSync(path))
  } catch {
    return null
  }
}

/** A path and its parents up to the root. */
function lineOf(path: string): string[] {
  const parent = dirname(path)
  return parent === path ? [path] : [path, ...lineOf(parent)]
}

/** The same for every name of one file or folder; the path itself where the system does not say. */
function identityOf(path: string): string {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    return ino === 0n ? path : `${dev}:${ino}`
  } catch {
    return path
  }
}

/** Whether names that differ in case only are one name there: whether the folder is found by its own in other case. */
function ignoresCase(folder: string): boolean {
  const named = lineOf(folder).find((path) => swapCase(basename(path)) !== basename(path))
  if (named === undefined) return process.platform !== 'linux'
  return identityOf(join(dirname(named), swapCase(basename(named)))) === identityOf(named)
}

function swapCase(name: string): string {
  const upper = name.toUpperCase()
  return upper === name ? name.toLowerCase() : upper
}
