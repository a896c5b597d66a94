/** @file Looking into files that may be anything, or nothing: what cannot be read is answered by `null`. */
import type { Dirent } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { boundedRead } from './boundedRead'

export type JsonObject = Readonly<Record<string, unknown>>

/** The entries of a folder; none of one that cannot be read. */
export function entriesOf(folder: string): Promise<Dirent[]> {
  return readdir(folder, { withFileTypes: true }).catch(() => [])
}

/** The first bytes of a file. Of a pipe or device nothing is read: that may never end. */
export async function readStart(file: string, bytes: number): Promise<Buffer | null> {
  if (!(await stat(file).catch(() => null))?.isFile()) return null
  const handle = await open(file, 'r').catch(() => null)
  try {
    if (!handle) return null
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0)
    return buffer.subarray(0, bytesRead)
  } catch {
    return null
  } finally {
    await handle?.close()
  }
}

/** A file's JSON object. */
export async function readObject(file: string, maxBytes: number): Promise<JsonObject | null> {
  try {
    const bytes = await boundedRead(file, maxBytes, 'damaged_file')
    return objectOf(JSON.parse(Buffer.from(bytes).toString()))
  } catch {
    return null
  }
}

export function objectOf(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : null
}
