import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Free bytes on the file system of a path, or of its nearest parent that exists; `null` where it does not say. */
export async function freeSpaceAt(path: string): Promise<number | null> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const stats = await statfs(folder).catch(() => null)
    if (stats) return stats.blocks === 0 ? null : stats.bavail * stats.bsize
    if (folder === dirname(folder)) return null
  }
}
