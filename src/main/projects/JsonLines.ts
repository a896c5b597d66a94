import { appendFile, open, readFile } from 'node:fs/promises'
import { systemCode } from '@system/errors'
import { Serial } from '../storage/Serial'

/** How long lines wait for others before they are written together. */
const FLUSH_MS = 250

/** A file that only grows, one JSON value a line. A line that a crash has cut off is left out when it is read. */
export class JsonLines {
  #waiting = ''
  #timer: NodeJS.Timeout | null = null
  #isWhole = false
  readonly #serial = new Serial()

  /** @param onError Told of the first failure to write; lines after it are tried all the same. */
  constructor(
    readonly file: string,
    private readonly onError: (error: unknown) => void = () => undefined,
  ) {}

  append(value: unknown): void {
    this.#waiting += `${JSON.stringify(value)}\n`
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS)
  }

  /** Resolves when everything appended so far is in the file, or could not be written. */
  flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    const text = this.#waiting
    this.#waiting = ''
    return this.#serial.run(async () => {
      if (text === '') return
      try {
        // What a crash has cut off must not take the next line with it.
        const start = this.#isWhole || (await endsWithLine(this.file)) ? '' : '\n'
        this.#isWhole = true
        await appendFile(this.file, start + text)
      } catch (error) {
        this.onError(error)
      }
    })
  }

  /** Every whole line, oldest first; none when there is no file. */
  static async read(file: string): Promise<unknown[]> {
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return []
      throw error
    }
    return text.split('\n').flatMap((line) => {
      if (line === '') return []
      try {
        return [JSON.parse(line) as unknown]
      } catch {
        return []
      }
    })
  }
}

/** Whether a file is empty, not there, or ends where a line does. */
async function endsWithLine(file: string): Promise<boolean> {
  const handle = await open(file, 'r').catch(() => null)
  try {
    const size = (await handle?.stat())?.size ?? 0
    if (!handle || size === 0) return true
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1)
    return buffer[0] === 0x0a
  } finally {
    await handle?.close()
  }
}
