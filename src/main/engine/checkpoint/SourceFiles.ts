/** @file Notices when a file changes while something is computed from it. */
import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { AppError, type ErrorCode } from '@shared/errors'
import { readError, systemCode } from '@system/errors'

/** What a file was when it was first looked at. */
export type FileIdentity = Pick<
  BigIntStats,
  'size' | 'mtimeNs' | 'ctimeNs' | 'ino' | 'mode' | 'nlink' | 'uid' | 'gid'
>

/** Backup programs clear Windows's archive flag, which moves the time of change and leaves no other trace. */
const CHANGE_TIME_TELLS = process.platform !== 'win32'

/** Descriptors are not needed for it, but a network's round trips are. */
const PARALLEL = 16

/** The files that one piece of work is computed from. None of them may change before its result is kept. */
export class SourceFiles {
  readonly #known = new Map<string, FileIdentity>()

  /**
   * @param what What they are together, in a word.
   * @param code Of the error when one was changed.
   */
  constructor(
    private readonly what = 'model',
    private readonly code: ErrorCode = 'bad_checkpoint',
  ) {}

  /** Looks at a file: the first time it is remembered, later compared. @throws AppError when it was changed. */
  see(file: string, stats: FileIdentity): void {
    const known = this.#known.get(file)
    if (!known) this.#known.set(file, stats)
    else if (isChanged(known, stats)) throw this.#changed(file, known, stats)
  }

  /**
   * Looks at every file again. To be asked before anything computed from them is kept.
   *
   * @throws AppError naming a file that was changed or replaced, `not_found` for one that is gone.
   */
  async assertUnchanged(): Promise<void> {
    const files = [...this.#known.keys()]
    for (let start = 0; start < files.length; start += PARALLEL) {
      await Promise.all(files.slice(start, start + PARALLEL).map((file) => this.#look(file)))
    }
  }

  /** Why reading a file failed: that it changed, where it did, and `error` otherwise. */
  async explain(file: string, error: unknown): Promise<unknown> {
    if (!this.#known.has(file)) return error
    return this.#look(file).then(
      () => error,
      (reason: unknown) => reason,
    )
  }

  async #look(file: string): Promise<void> {
    const stats = await stat(file, { bigint: true }).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw readError(error, file)
      throw new AppError('not_found', `${file} was removed while it was read.`, {
        hint: this.#hint,
        context: { file, expected: 'the file that was opened', actual: 'removed' },
        cause: error,
      })
    })
    this.see(file, stats)
  }

  #changed(file: string, known: FileIdentity, now: FileIdentity): AppError {
    return new AppError(this.code, `${file} was changed while it was read.`, {
      hint: this.#hint,
      context: { file, expected: describe(known), actual: describe(now) },
    })
  }

  get #hint(): string {
    return `Nothing was kept of what was computed. Start again when nobody writes to the ${this.what}.`
  }
}

function describe({ size, mtimeNs, ino }: FileIdentity): string {
  return `${size} bytes of ${new Date(Number(mtimeNs / 1_000_000n)).toISOString()}, inode ${ino}`
}

/**
 * Size and time of writing tell of most changes. The time of the last change of any kind tells of writers that set the
 * time of writing back; a new link, owner or permission moves it too and says nothing of the content.
 */
function isChanged(known: FileIdentity, now: FileIdentity): boolean {
  if (known.size !== now.size || known.mtimeNs !== now.mtimeNs) return true
  if (known.ctimeNs === now.ctimeNs) return false
  // Some network file systems number their files anew from time to time, but keep their times.
  if (known.ino !== now.ino) return true
  const isExplained =
    known.mode !== now.mode ||
    known.nlink !== now.nlink ||
    known.uid !== now.uid ||
    known.gid !== now.gid
  return CHANGE_TIME_TELLS && !isExplained
}
