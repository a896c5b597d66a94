/**
 * @file Results of a job's stages in a folder, each under a key made of everything it depends on, so that a job that was
 * killed goes on where it was and a job with other parameters finds what it shares with an earlier one. Several
 * processes, on several machines that see the folder, may work in it at once.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { disown, mayLive, own } from '@system/locks'

/** Marks the folder of a result under way: `<name>.<host>.<pid>.tmp`. */
const DRAFT_SUFFIX = '.tmp'

/** Hexadecimal digits of a key in a folder's name: 64 bits. */
const KEY_LENGTH = 16

/** Where a result is being made; it counts only once committed. */
export interface StageDraft {
  readonly folder: string
  /** Makes the result visible under its key and returns its folder. */
  commit(): Promise<string>
  /** Removes what was made so far; safe after `commit`. */
  discard(): Promise<void>
}

export class StageStore {
  /**
   * @param root Folder of all stages.
   * @param keeps Whether the folder outlives the job: only then is it worth storing what the job itself does not read.
   */
  constructor(
    readonly root: string,
    readonly keeps: boolean,
  ) {}

  /** The folder of a finished result, or `null`. */
  async find(stage: string, dependencies: unknown): Promise<string | null> {
    const folder = this.folderOf(stage, dependencies)
    return (await isFolder(folder)) ? folder : null
  }

  /** Starts a result. Drafts that a process of this machine left behind when it died are removed. */
  async begin(stage: string, dependencies: unknown): Promise<StageDraft> {
    const target = this.folderOf(stage, dependencies)
    await mkdir(this.root, { recursive: true })
    await this.sweep()
    const folder = `${target}.${hostname()}.${process.pid}${DRAFT_SUFFIX}`
    const owner = own(folder)
    const discard = async (): Promise<void> => {
      await rm(folder, { recursive: true, force: true })
      disown(owner)
    }
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder)
    return {
      folder,
      commit: async () => {
        try {
          await rename(folder, target)
        } catch (error) {
          // Another process was first: its result is the same.
          if (!(await isFolder(target))) throw error
        }
        await discard()
        return target
      },
      discard,
    }
  }

  private folderOf(stage: string, dependencies: unknown): string {
    const key = createHash('sha256').update(canonical(dependencies)).digest('hex')
    return join(this.root, `${stage}-${key.slice(0, KEY_LENGTH)}`)
  }

  private async sweep(): Promise<void> {
    const host = hostname()
    for (const name of await readdir(this.root)) {
      const from = name.lastIndexOf(`.${host}.`)
      const pid = name.slice(from + host.length + 2, -DRAFT_SUFFIX.length)
      if (from < 0 || !name.endsWith(DRAFT_SUFFIX) || !/^\d+$/.test(pid)) continue
      const folder = join(this.root, name)
      if (mayLive({ token: folder, pid: Number(pid), host })) continue
      await rm(folder, { recursive: true, force: true })
    }
  }
}

/** JSON with sorted keys: equal values give equal text. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false
}
