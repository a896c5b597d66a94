/** @file Token ids in files: uint32, little-endian, one after another. */
import type { FileHandle } from 'node:fs/promises'
import { AppError } from '@shared/errors'
import { writeError } from '@system/errors'
import { FilePool } from '../checkpoint/FilePool'
import type { OpenTokenWindows } from './TokenWindows'

export const TOKEN_BYTES = Uint32Array.BYTES_PER_ELEMENT

/** Up to here all tokens are held in memory; beyond, a window is read when it is asked for. */
const MEMORY_BYTES = 64e6

/** A file of tokens. */
export interface TokenFile {
  readonly path: string
  readonly tokens: number
}

/** Appends ids to a file. @throws AppError `not_enough_disk`, `write_failed`. */
export async function appendTokens(
  handle: FileHandle,
  path: string,
  ids: Int32Array,
): Promise<void> {
  const bytes = new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await handle.write(bytes, done).catch((error: unknown) => {
      throw writeError(error, path)
    })
    done += bytesWritten
  }
}

/** Opens files of tokens as windows over all of them, one file after another. */
export async function openWindows(
  files: readonly TokenFile[],
  length: number,
  memoryBytes = MEMORY_BYTES,
): Promise<OpenTokenWindows> {
  const pool = new FilePool()
  const tokens = files.reduce((sum, file) => sum + file.tokens, 0)
  const read = (first: number, count: number): Promise<Int32Array> =>
    readTokens(pool, files, first, count)
  const all = tokens * TOKEN_BYTES <= memoryBytes ? await read(0, tokens) : null
  if (all) await pool.close()
  const count = Math.floor(tokens / length)
  return {
    length,
    count,
    at: async (index) => {
      if (!(index >= 0 && index < count)) {
        throw new AppError('bug', `There is no window ${index} of ${count}.`)
      }
      const first = index * length
      return all ? all.slice(first, first + length) : read(first, length)
    },
    close: () => pool.close(),
  }
}

async function readTokens(
  pool: FilePool,
  files: readonly TokenFile[],
  first: number,
  count: number,
): Promise<Int32Array> {
  const ids = new Int32Array(count)
  let start = 0
  for (const { path, tokens } of files) {
    const [from, to] = [Math.max(first, start), Math.min(first + count, start + tokens)]
    if (from < to) {
      const bytes = new Uint8Array(
        ids.buffer,
        (from - first) * TOKEN_BYTES,
        (to - from) * TOKEN_BYTES,
      )
      await pool.read(path, (from - start) * TOKEN_BYTES, bytes)
    }
    start += tokens
  }
  return ids
}
