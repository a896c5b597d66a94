/** @file Numbers and names of runs and trainings. */
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Of a folder such as `003-lesa`; 0 for one without a number. */
export function numberOf(folder: string): number {
  return Number(/^(\d+)-/.exec(folder)?.[1] ?? 0)
}

/**
 * A folder `004-kind` that is not there yet. Numbers are never given twice, so that a name means one thing.
 *
 * @param root Made if need be.
 * @param deleted The highest number of one that is not there any more.
 */
export async function placeForFolder(root: string, kind: string, deleted: number): Promise<string> {
  await mkdir(root, { recursive: true })
  const number = Math.max(deleted, ...(await readdir(root)).map(numberOf)) + 1
  return join(root, `${String(number).padStart(3, '0')}-${kind}`)
}

/** Makes the folder that {@link placeForFolder} names. */
export async function newFolder(root: string, kind: string, deleted: number): Promise<string> {
  const folder = await placeForFolder(root, kind, deleted)
  await mkdir(folder)
  return folder
}

/** `LESA`, or `LESA 2` and so on when that is taken. */
export function unusedName(wanted: string, others: Iterable<{ readonly name: string }>): string {
  const names = new Set([...others].map(({ name }) => name))
  for (let n = 1; ; n += 1) {
    // A name has at most 100 characters.
    const name = n === 1 ? wanted : `${wanted.slice(0, 92)} ${n}`
    if (!names.has(name)) return name
  }
}
