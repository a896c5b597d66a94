import { stat, statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { AppError } from '@shared/errors'
import { formatBytes } from '@shared/units'
import { existingFolder } from './paths'

/** Space kept free beside what is written: headers, small files, the file system's own needs. */
export const DISK_MARGIN_BYTES = 64e6

/** So many bytes, at a path that need not exist yet. */
export interface Room {
  readonly path: string
  readonly bytes: number
}

/** Free bytes on the file system of a path, or of its nearest parent that exists; `null` where it does not say. */
export async function freeSpaceAt(path: string): Promise<number | null> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const stats = await statfs(folder).catch(() => null)
    if (stats) return stats.blocks === 0 ? null : stats.bavail * stats.bsize
    if (folder === dirname(folder)) return null
  }
}

/**
 * Refuses when a file system has less room than all that is to be written there.
 *
 * @throws AppError `not_enough_disk` with both numbers.
 */
export async function requireRoom(rooms: readonly Room[]): Promise<void> {
  const bySystem = new Map<number, { folder: string; bytes: number }>()
  for (const { path, bytes } of rooms) {
    const folder = existingFolder(path)
    const { dev } = await stat(folder)
    bySystem.set(dev, { folder, bytes: bytes + (bySystem.get(dev)?.bytes ?? 0) })
  }
  for (const { folder, bytes } of bySystem.values()) {
    const free = await freeSpaceAt(folder)
    const needed = bytes + DISK_MARGIN_BYTES
    // Some network file systems do not say; then writing will.
    if (free === null || free >= needed) continue
    throw new AppError(
      'not_enough_disk',
      `The job needs ${formatBytes(needed)} of disk, ${formatBytes(free)} are free.`,
      {
        hint: 'Free some space or choose a folder on another disk.',
        context: { file: folder, expected: `${needed} bytes`, actual: `${free} bytes` },
      },
    )
  }
}
