/** @file The stages that a project keeps for later runs. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

interface Stage {
  readonly folder: string
  readonly bytes: number
  readonly modifiedMs: number
}

/** Bytes of everything that is kept. */
export async function workBytes(work: string): Promise<number> {
  return (await stagesIn(work)).reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Removes the oldest stages until no more than `limit` bytes are left; returns how many are. */
export async function trimWork(work: string, limit: number): Promise<number> {
  const stages = (await stagesIn(work)).sort((a, b) => a.modifiedMs - b.modifiedMs)
  let left = stages.reduce((sum, { bytes }) => sum + bytes, 0)
  for (const { folder, bytes } of stages) {
    if (left <= limit) break
    await rm(folder, { recursive: true, force: true })
    left -= bytes
  }
  return left
}

async function stagesIn(work: string): Promise<Stage[]> {
  const root = join(work, 'stages')
  const names = await readdir(root).catch(() => [])
  const stages = names.map(async (name): Promise<Stage | null> => {
    const folder = join(root, name)
    const found = await stat(folder).catch(() => null)
    if (!found) return null
    return { folder, bytes: await folderBytes(folder), modifiedMs: found.mtimeMs }
  })
  return (await Promise.all(stages)).filter((stage) => stage !== null)
}

/** Bytes of all files in a folder; 0 when there is none. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  let bytes = 0
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) bytes += await folderBytes(path)
    else if (entry.isFile()) bytes += (await stat(path).catch(() => null))?.size ?? 0
  }
  return bytes
}
