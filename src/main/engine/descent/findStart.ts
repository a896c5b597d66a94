/** @file The grown checkpoint that a trained one began from, where the folders around it tell. */
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { AppError } from '@shared/errors'
import { isSameGrowth } from '@shared/growthIdentity'
import { readLesaFile, type LesaFile } from '../growth/lesaFile'

/** Beside and above a trained folder: more are not looked through. */
const MAX_FOLDERS = 200
const LEVELS_ABOVE = 3

/**
 * Looks for it by the trained folder's `lesa.json`: a folder above it or beside it whose file tells of the same growth
 * and of fewer trainings. Of several, the one with most trainings is what the last one began from.
 *
 * @returns Its path, or those between which nothing decides.
 * @throws AppError `bad_checkpoint` where the trained folder's own file cannot be read.
 */
export async function findStart(
  trained: string,
): Promise<{ readonly start: string } | { readonly candidates: readonly string[] }> {
  const own = await readLesaFile(trained)
  if (!own) return { candidates: [] }
  const found: { readonly path: string; readonly trainings: number }[] = []
  for (const path of await foldersAround(trained)) {
    const other = await readLesaFile(path).catch((error: unknown) => {
      if (error instanceof AppError) return null
      throw error
    })
    if (other && isEarlier(other, own)) found.push({ path, trainings: other.trainings.length })
  }
  const most = Math.max(...found.map(({ trainings }) => trainings))
  const candidates = found.filter(({ trainings }) => trainings === most).map(({ path }) => path)
  const [only, ...others] = candidates
  return only !== undefined && others.length === 0 ? { start: only } : { candidates }
}

/** Whether the one file is the other's before its last trainings; one that was trained elsewhere may tell of none. */
function isEarlier(start: LesaFile, trained: LesaFile): boolean {
  const isOneGrowth = isSameGrowth(start.content, trained.content)
  const count = start.trainings.length
  return isOneGrowth && isDeepStrictEqual(start.trainings, trained.trainings.slice(0, count))
    ? count < trained.trainings.length || trained.trainings.length === 0
    : false
}

async function foldersAround(trained: string): Promise<string[]> {
  const above: string[] = []
  for (let path = dirname(trained); above.length < LEVELS_ABOVE; path = dirname(path)) {
    above.push(path)
    if (path === dirname(path)) break
  }
  const parent = dirname(trained)
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => [])
  const beside = entries
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => join(parent, name))
    .filter((path) => path !== trained)
    .slice(0, MAX_FOLDERS)
  return [...above, ...beside]
}
