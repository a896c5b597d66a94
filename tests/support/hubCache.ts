import { cp, mkdir, readdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

export const REVISION = '8faed761d45a263340a0528343f099c05c9a4323'

/** Puts a copy of a model's folder into a cache as the hub's own tools lay it out; answers the snapshot's folder. */
export async function cacheModel(options: {
  readonly cache: string
  readonly model: string
  readonly repository: string
  readonly revision?: string
  readonly ref?: string | null
}): Promise<string> {
  const { cache, model, repository, revision = REVISION, ref = 'main' } = options
  const folder = join(cache, `models--${repository.replaceAll('/', '--')}`)
  const [blobs, snapshot] = [join(folder, 'blobs'), join(folder, 'snapshots', revision)]
  for (const path of [blobs, snapshot, join(folder, 'refs')]) await mkdir(path, { recursive: true })
  const copy = join(folder, 'copy')
  await cp(model, copy, { recursive: true })
  for (const name of await readdir(copy)) {
    const blob = join(blobs, `${revision.slice(0, 6)}-${name}`)
    await rename(join(copy, name), blob)
    await symlink(relative(snapshot, blob), join(snapshot, name))
  }
  if (ref !== null) await writeFile(join(folder, 'refs', ref), revision)
  return snapshot
}
