import { statfs } from 'node:fs/promises'
import { formatBytes } from '@shared/units'
import { SkipError } from './types'

/** @throws SkipError when the disk of a folder has less room than needed. */
export async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free >= bytes) return
  throw new SkipError(
    `it needs ${formatBytes(bytes)} of disk in ${folder}, ${formatBytes(free)} are free; --work names another folder`,
  )
}
