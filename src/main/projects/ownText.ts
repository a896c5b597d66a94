/** @file A project's texts for the jobs that read them. */
import { copyFile, link, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { TextPlace } from '@shared/projects'
import { exists, renameRetrying } from '@system/files'
import { folderNameOf, projectPaths } from './layout'
import type { ProjectRecord } from './ProjectRecord'

/** A text's name and file. @throws AppError `not_found` when the project does not have it, or not any more. */
export async function fileOfText(
  { file, folder }: Pick<ProjectRecord, 'file' | 'folder'>,
  id: string,
): Promise<{ readonly name: string; readonly path: string }> {
  const name = file.texts.find((text) => text.id === id)?.name
  if (name === undefined) throw new AppError('not_found', `The project has no text ${id}.`)
  const path = projectPaths.text(folder, id)
  if (await exists(path)) return { name, path }
  throw new AppError('not_found', `The text ${name} is not in the project's folder any more.`, {
    hint: 'Add it again.',
    context: { file: path },
  })
}

/** Where a text is that no job reads yet. */
export function textPath({ folder }: Pick<ProjectRecord, 'folder'>, place: TextPlace): string {
  return 'text' in place ? projectPaths.text(folder, place.text) : place.path
}

/**
 * A text of the project under its own name, which decides how it is read and which the model card tells. It is there as
 * long as the job may need it, whether or not the text stays in the project.
 *
 * @param texts The folder that such texts have in the job's record.
 */
export async function ownText(
  record: Pick<ProjectRecord, 'file' | 'folder'>,
  texts: string,
  id: string,
): Promise<string> {
  const place = join(texts, id)
  const [known] = await readdir(place).catch(() => [])
  if (known !== undefined) return join(place, known)
  const { path, name } = await fileOfText(record, id)
  const own = folderNameOf(name)
  const target = join(place, /\.(?:txt|jsonl)$/i.test(own) ? own : `${own}.txt`)
  const unfinished = `${place}.partial`
  await mkdir(place, { recursive: true })
  // Not every file system gives a file two names.
  await link(path, target).catch(async () => {
    await copyFile(path, unfinished)
    await renameRetrying(unfinished, target)
  })
  return target
}
