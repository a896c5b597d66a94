import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { writeError } from './files'

/**
 * Keeps a value as JSON; the file appears when it is complete.
 *
 * @throws AppError `path_denied`, `not_enough_disk`, `write_failed`.
 */
export async function writeRecord(file: string, value: unknown): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    await mkdir(dirname(file), { recursive: true })
    const handle = await open(temporary, 'w')
    try {
      await handle.writeFile(`${JSON.stringify(value)}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    throw writeError(error, file)
  }
}
