import { open, type FileHandle } from 'node:fs/promises'
import { AppError } from '@shared/errors'
import { readError } from '@system/errors'
import type { SourceFiles } from './SourceFiles'

/** Well below the descriptor limit of every platform (macOS gives a process 256). */
const MAX_OPEN_FILES = 48

/** Largest single read: the system call is limited to 2 GiB. */
const MAX_READ_BYTES = 2 ** 28

interface PooledFile {
  readonly handle: Promise<FileHandle>
  users: number
}

/** Read handles that are opened when first needed, kept, and closed least recently used first. */
export class FilePool {
  readonly #files = new Map<string, PooledFile>()
  #closed = false

  /** @param sources What the files were when they were first looked at. */
  constructor(private readonly sources?: SourceFiles) {}

  /**
   * Fills `target` from `offset`.
   *
   * @throws AppError `bad_checkpoint` when the file ends before, or is not the one that was first looked at.
   */
  async read(file: string, offset: number, target: Uint8Array): Promise<void> {
    const pooled = this.#take(file)
    try {
      const handle = await pooled.handle.catch((error: unknown) => {
        throw readError(error, file)
      })
      await readFully(handle, file, offset, target)
    } catch (error) {
      throw (await this.sources?.explain(file, error)) ?? error
    } finally {
      pooled.users -= 1
      await this.#trim()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const files = [...this.#files.values()]
    this.#files.clear()
    await Promise.all(files.map(closeFile))
  }

  #take(file: string): PooledFile {
    if (this.#closed) throw new AppError('bug', 'The checkpoint was closed.', { context: { file } })
    const pooled = this.#files.get(file) ?? { handle: this.#open(file), users: 0 }
    // A failed open is reported to whoever waits for it, and tried again by the next.
    pooled.handle.catch(() => {
      if (this.#files.get(file) === pooled) this.#files.delete(file)
    })
    // Re-inserting keeps the map in order of use.
    this.#files.delete(file)
    this.#files.set(file, pooled)
    pooled.users += 1
    return pooled
  }

  async #open(file: string): Promise<FileHandle> {
    const handle = await open(file, 'r')
    try {
      this.sources?.see(file, await handle.stat({ bigint: true }))
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async #trim(): Promise<void> {
    if (this.#files.size <= MAX_OPEN_FILES) return
    for (const [file, pooled] of this.#files) {
      if (pooled.users > 0) continue
      this.#files.delete(file)
      await closeFile(pooled)
      if (this.#files.size <= MAX_OPEN_FILES) return
    }
  }
}

async function closeFile(pooled: PooledFile): Promise<void> {
  const handle = await pooled.handle.catch(() => null)
  await handle?.close()
}

/** Reads exactly `target.byteLength` bytes. @throws AppError `bad_checkpoint` when the file ends before. */
export async function readFully(
  handle: FileHandle,
  file: string,
  offset: number,
  target: Uint8Array,
): Promise<void> {
  let done = 0
  while (done < target.byteLength) {
    const length = Math.min(MAX_READ_BYTES, target.byteLength - done)
    const { bytesRead } = await handle
      .read(target, done, length, offset + done)
      .catch((error: unknown) => {
        throw readError(error, file)
      })
    if (bytesRead === 0) throw endsEarly(file, offset + done, offset + target.byteLength)
    done += bytesRead
  }
}

function endsEarly(file: string, actual: number, expected: number): AppError {
  return new AppError('bad_checkpoint', `${file} ends before its data does.`, {
    hint: 'The file is truncated or was changed while it was read. Download it again.',
    context: { file, expected: `at least ${expected} bytes`, actual: `${actual} bytes` },
  })
}
