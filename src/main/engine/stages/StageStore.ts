/**
 * @file Results of a job's stages in a folder, each under a key made of everything it depends on, so that a job that was
 * killed goes on where it was and a job with other parameters finds what it shares with an earlier one. Several
 * processes, on several machines that see the folder, may work in it at once. What is found is checked byte for byte
 * against what was kept: a disk that lost something costs the time to compute it again, and nothing else.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { readError, systemCode, writeError } from '@system/errors'
import { makeFolder, removeFolder, syncFolder, syncTree, writeJsonAtomic } from '@system/files'
import { disown, draftName, keepTouching, own, sweepDrafts, type Owner } from '@system/locks'

/** Hexadecimal digits of a key in a folder's name: 64 bits. */
const KEY_LENGTH = 16

/** Lists a finished result's other files. */
const MANIFEST = 'stage.json'

const manifestSchema = z.object({
  files: z.record(z.string(), z.object({ bytes: z.int().min(0), sha256: z.string() })),
})

/** Where a result is being made; it counts only once committed. */
export interface StageDraft {
  readonly folder: string
  /** Makes the result visible under its key and returns its folder. */
  commit(): Promise<string>
  /** Removes what was made so far; safe after `commit`. */
  discard(): Promise<void>
}

/** What is there of a result: its folder, or why what lies there does not count. */
export type FoundStage = { readonly folder: string } | { readonly damage: string }

export class StageStore {
  /** Folders whose bytes this process has seen to be right. */
  private readonly sound = new Set<string>()

  /**
   * @param root Folder of all stages.
   * @param keeps Whether the folder outlives the job: only then is it worth storing what the job itself does not read.
   */
  constructor(
    readonly root: string,
    readonly keeps: boolean,
  ) {}

  /**
   * A finished result, or `null`. Every byte of it is read; a result that is not what was kept is removed when another
   * one takes its place.
   *
   * @throws AppError what the system says of a file that is there and cannot be read.
   */
  async find(stage: string, dependencies: unknown): Promise<FoundStage | null> {
    const folder = this.folderOf(stage, dependencies)
    if (!(await isFolder(folder))) return null
    if (this.sound.has(folder)) return { folder }
    const damage = await damageOf(folder)
    if (damage !== null) return { damage }
    this.sound.add(folder)
    return { folder }
  }

  /** Starts a result. Drafts whose processes have died are removed. */
  async begin(stage: string, dependencies: unknown): Promise<StageDraft> {
    const target = this.folderOf(stage, dependencies)
    const owner = own(target)
    const folder = join(this.root, draftName(basename(target), owner))
    try {
      await makeFolder(this.root)
      await sweepDrafts(this.root, (draft) => this.targetOf(draft))
      await removeFolder(folder)
      await mkdir(folder)
    } catch (error) {
      disown(owner)
      throw writeError(error, folder)
    }
    const stopTouching = keepTouching(folder)
    const discard = async (): Promise<void> => {
      stopTouching()
      await removeFolder(folder)
      disown(owner)
    }
    return {
      folder,
      commit: async () => {
        try {
          if (this.keeps) {
            await writeJsonAtomic(join(folder, MANIFEST), await manifestOf(folder))
            await syncTree(folder)
          }
          await this.publish(folder, target, owner)
          if (this.keeps) await syncFolder(this.root)
        } catch (error) {
          throw writeError(error, folder)
        }
        this.sound.add(target)
        await discard()
        return target
      },
      discard,
    }
  }

  /** Of all files there, those of drafts included. */
  async storedBytes(): Promise<number> {
    const entries = await readdir(this.root, { recursive: true, withFileTypes: true }).catch(
      () => [],
    )
    const files = entries.filter((entry) => entry.isFile())
    const sizes = files.map(({ parentPath, name }) =>
      stat(join(parentPath, name)).catch(() => null),
    )
    return (await Promise.all(sizes)).reduce((sum, stats) => sum + (stats?.size ?? 0), 0)
  }

  private async publish(folder: string, target: string, owner: Owner): Promise<void> {
    for (;;) {
      try {
        return await rename(folder, target)
      } catch (error) {
        if (!(await isFolder(target))) throw error
      }
      // Another process was first: its result is the same, if it is whole.
      if ((await damageOf(target)) === null) return
      const mark = `${owner.begin ?? 'x'}-${randomBytes(4).toString('hex')}`
      const aside = join(this.root, draftName(basename(target), { ...owner, begin: mark }))
      await rename(target, aside)
      await removeFolder(aside)
    }
  }

  /** Where the result is, or would be. */
  folderOf(stage: string, dependencies: unknown): string {
    const key = createHash('sha256').update(canonical(dependencies)).digest('hex')
    return join(this.root, `${stage}-${key.slice(0, KEY_LENGTH)}`)
  }

  /** Of which result a draft is one: its name begins with the result's. */
  private targetOf(draft: string): string {
    const name = /^.+?-[0-9a-f]{16}(?=\.)/.exec(basename(draft))?.[0] ?? basename(draft)
    return join(this.root, name)
  }
}

async function manifestOf(folder: string): Promise<z.infer<typeof manifestSchema>> {
  const files: z.infer<typeof manifestSchema>['files'] = {}
  for (const name of (await readdir(folder)).sort()) {
    if (name !== MANIFEST) files[name] = await digestOf(join(folder, name))
  }
  return { files }
}

/** Which file of a result is not as it was kept, and how; `null` when all are. */
async function damageOf(folder: string): Promise<string | null> {
  const list = join(folder, MANIFEST)
  // Earlier versions of the program kept no checksums.
  if (!(await isFile(list))) return `${list} is missing, so nothing can be checked`
  let manifest: z.infer<typeof manifestSchema>
  try {
    manifest = manifestSchema.parse(JSON.parse(await readFile(list, 'utf8')))
  } catch (error) {
    if (systemCode(error) !== '' && !isLoss(error)) throw readError(error, list, 'damaged_file')
    return `${list} is damaged`
  }
  for (const [name, expected] of Object.entries(manifest.files)) {
    const file = join(folder, name)
    if (!(await isFile(file))) return `${file} is missing`
    try {
      const found = await digestOf(file)
      if (found.bytes !== expected.bytes) {
        return `${file} has ${found.bytes} bytes instead of ${expected.bytes}`
      }
      if (found.sha256 !== expected.sha256) {
        return `${file} has the checksum ${found.sha256} instead of ${expected.sha256}`
      }
    } catch (error) {
      if (!isLoss(error)) throw readError(error, file, 'damaged_file')
      return `${file} cannot be read (${systemCode(error)})`
    }
  }
  return null
}

/** Whether the disk has lost a file, rather than that it may not be read now. */
function isLoss(error: unknown): boolean {
  return ['EIO', 'ENOENT', 'ENOTDIR', 'EBADMSG', 'EUCLEAN'].includes(systemCode(error))
}

const READ_BYTES = 2 ** 20

async function digestOf(file: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(file, { highWaterMark: READ_BYTES })) {
    hash.update(chunk as Buffer)
    bytes += (chunk as Buffer).byteLength
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** JSON with sorted keys: equal values give equal text. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isFile() ?? false
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false
}
