/** @file Small files that must survive a crash and never be half of themselves. */
import { access, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError } from '@shared/errors'
import type { z } from 'zod'

/** No file of ours comes near it; a larger one is not ours, or damaged. */
const MAX_FILE_BYTES = 256e6

/** A virus scanner or indexer may hold a file on Windows for a moment. */
const RENAME_ATTEMPTS = process.platform === 'win32' ? 8 : 1

const ASIDE_LIMIT = 10_000

let counter = 0

/**
 * Replaces a file's content as a whole: after a crash there is the old one or the new one. The folder must exist.
 *
 * @throws AppError `path_denied`, `not_enough_disk`, `write_failed`.
 */
export async function writeFileAtomic(file: string, content: string): Promise<void> {
  counter += 1
  const temporary = `${file}.${process.pid}-${counter}.tmp`
  try {
    const handle = await open(temporary, 'wx')
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await renameRetrying(temporary, file)
    await syncFolder(dirname(file))
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw writeProblem(error, file)
  }
}

export function writeJsonAtomic(file: string, value: unknown): Promise<void> {
  return writeFileAtomic(file, `${JSON.stringify(value, null, 2)}\n`)
}

/** What became of reading a file that has a schema and a version. */
export type Stored<T> =
  | { readonly state: 'ok'; readonly value: T }
  | { readonly state: 'absent' }
  /** Written by a later version of the program: to be left alone. */
  | { readonly state: 'newer'; readonly version: number }
  /** `json` is what could be parsed, for whoever wants to save parts of it. */
  | { readonly state: 'damaged'; readonly reason: string; readonly json: unknown }

/**
 * Reads a JSON file whose `schema_version` is a whole number.
 *
 * @throws AppError `path_denied`, `write_failed` when the system refuses.
 */
export async function readStored<S extends z.ZodType>(
  file: string,
  schema: S,
  version: number,
): Promise<Stored<z.infer<S>>> {
  let text: string
  try {
    if ((await stat(file)).size > MAX_FILE_BYTES) {
      return { state: 'damaged', reason: 'it is far too large', json: undefined }
    }
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { state: 'absent' }
    throw readProblem(error, file)
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { state: 'damaged', reason: 'it is not JSON', json: undefined }
  }
  const found = versionOf(json)
  if (found !== null && found > version) return { state: 'newer', version: found }
  const parsed = schema.safeParse(json)
  if (parsed.success) return { state: 'ok', value: parsed.data }
  const [issue] = parsed.error.issues
  const field = issue?.path.join('.') ?? ''
  return {
    state: 'damaged',
    reason: `${field === '' ? '' : `${field}: `}${issue?.message ?? 'not understood'}`,
    json,
  }
}

function versionOf(json: unknown): number | null {
  if (typeof json !== 'object' || json === null || !('schema_version' in json)) return null
  const { schema_version: version } = json
  return typeof version === 'number' && Number.isInteger(version) ? version : null
}

/** Renames a damaged file to `<file>.damaged-<n>`, the first that is free, and returns its new name. */
export async function setAside(file: string): Promise<string> {
  for (let n = 1; n <= ASIDE_LIMIT; n += 1) {
    const name = `${basename(file)}.damaged-${n}`
    const target = join(dirname(file), name)
    if (await exists(target)) continue
    try {
      await renameRetrying(file, target)
      return name
    } catch (error) {
      throw writeProblem(error, file)
    }
  }
  throw new AppError('damaged_file', `${file} is damaged and could not be set aside.`, {
    hint: 'Remove the older files set aside beside it.',
    context: { file },
  })
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
      const passing = ['EPERM', 'EACCES', 'EBUSY'].includes(codeOf(error))
      if (!passing || attempt >= RENAME_ATTEMPTS) throw error
      await wait(25 * 2 ** attempt)
    }
  }
}

/** Makes a rename last a power cut, where the system can sync a folder. */
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

/** The code of a failed system call, or the empty string. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

/** Says in the product's terms why `path` could not be read; other errors than the system's pass unchanged. */
export function readProblem(error: unknown, path: string): unknown {
  const code = codeOf(error)
  if (error instanceof AppError || !/^E[A-Z0-9]+$/.test(code)) return error
  const options = { context: { file: path, actual: code }, cause: error }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new AppError('not_found', `${path} does not exist.`, options)
  }
  return new AppError('path_denied', `${path} cannot be read.`, {
    ...options,
    hint: 'Check its permissions.',
  })
}

/** Says in the product's terms why `path` could not be written; other errors than the system's pass unchanged. */
export function writeProblem(error: unknown, path: string): unknown {
  const code = codeOf(error)
  if (error instanceof AppError || !/^E[A-Z0-9]+$/.test(code)) return error
  const options = { context: { file: path, actual: code }, cause: error }
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new AppError('not_enough_disk', `The disk is full: ${path} was not written.`, {
        ...options,
        hint: 'Free some space.',
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new AppError('path_denied', `${path} may not be written.`, {
        ...options,
        hint: 'Choose a folder that you may write to, or change its permissions.',
      })
    default:
      return new AppError('write_failed', `${path} could not be written (${code}).`, options)
  }
}
