/** @file Reading JSON files that have a schema and a version, and putting damaged ones aside. */
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { AppError } from '@shared/errors'
import { readError, systemCode, writeError } from '@system/errors'
import { exists, renameRetrying } from '@system/files'
import type { z } from 'zod'

/** No file of ours comes near it; a larger one is not ours, or damaged. */
const MAX_FILE_BYTES = 256e6

const ASIDE_LIMIT = 10_000

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
 * @throws AppError `path_denied`, `damaged_file` when the system refuses.
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
    if (systemCode(error) === 'ENOENT') return { state: 'absent' }
    throw readError(error, file, 'damaged_file')
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
      throw writeError(error, file)
    }
  }
  throw new AppError('damaged_file', `${file} is damaged and could not be set aside.`, {
    hint: 'Remove the older files set aside beside it.',
    context: { file },
  })
}
