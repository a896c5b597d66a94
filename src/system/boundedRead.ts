import { open, stat } from 'node:fs/promises'
import { AppError, type ErrorCode } from '@shared/errors'
import { formatBytes } from '@shared/units'
import { readError } from './errors'

const CHUNK = 1 << 20

/**
 * A small file's bytes. Never waits for what has no end and never holds more than `maxBytes`: a pipe, a device and a
 * folder are refused, and a file that claims no size (as those of `/proc` do) is read only so far.
 *
 * @param code Of the error when it is no file, or too large.
 * @throws AppError that names the file; `not_found`, `path_denied` as `readError` says.
 */
export async function boundedRead(
  file: string,
  maxBytes: number,
  code: ErrorCode,
): Promise<Uint8Array> {
  const refuse = (what: string): AppError =>
    new AppError(code, `${file} cannot be read: it is ${what}.`, {
      context: { file, expected: `a file of at most ${formatBytes(maxBytes)}`, actual: what },
    })
  try {
    const stats = await stat(file)
    if (!stats.isFile()) throw refuse(stats.isDirectory() ? 'a folder' : 'not a regular file')
    if (stats.size > maxBytes) throw refuse(`larger than ${formatBytes(maxBytes)}`)
    const handle = await open(file)
    try {
      const chunks: Uint8Array[] = []
      for (let total = 0; ;) {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK)
        if (bytesRead === 0) return Buffer.concat(chunks)
        total += bytesRead
        if (total > maxBytes) throw refuse(`larger than ${formatBytes(maxBytes)}`)
        chunks.push(buffer.subarray(0, bytesRead))
      }
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw readError(error, file, code)
  }
}
