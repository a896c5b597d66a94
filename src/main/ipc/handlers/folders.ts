import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { FolderKind, FolderListing } from '@shared/contract'
import { AppError, type AppErrorData } from '@shared/errors'
import { TEXT_EXTENSIONS, type TextPurpose } from '@shared/textFiles'
import { systemCode } from '@system/errors'
import { exists } from '@system/files'
import { modelFolderOf } from '@system/hubCache'
import { explainFolder, holdsModel } from '@system/modelFolder'
import { PROJECT_FILE } from '../../projects/layout'
import { resolvePath } from '../paths'

/** Longer lists are of no use to a person; the rest is reached by typing. */
const MAX_FOLDERS = 1_000

/** Folders looked into at once when telling models from others. */
const BATCH = 32

/**
 * The subfolders of a folder, for the hosts that have no native dialog: names and whether each holds a model, nothing
 * of what is in any file. Hidden folders are left out, except `.cache`, where models are often kept.
 *
 * @throws AppError `not_found`, `path_denied`.
 */
export async function listFolders(
  path: string | null,
  options: { readonly withTexts: boolean; readonly purpose?: TextPurpose | undefined } = {
    withTexts: false,
  },
): Promise<FolderListing> {
  const folder = path === null ? homedir() : resolvePath(path)
  const entries = await readFolder(folder)
  const names = entries
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map((entry) => entry.name)
    .filter((name) => !name.startsWith('.') || name === '.cache')
    .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))
    .slice(0, MAX_FOLDERS)

  const folders: { name: string; isModel: boolean; isProject: boolean }[] = []
  for (let start = 0; start < names.length; start += BATCH) {
    const batch = names.slice(start, start + BATCH).map(async (name) => {
      const child = join(folder, name)
      if (!(await isFolder(child))) return []
      return [{ name, isModel: await isModel(child), isProject: await isProject(child) }]
    })
    folders.push(...(await Promise.all(batch)).flat())
  }
  const parent = dirname(folder)
  return {
    path: folder,
    parent: parent === folder ? null : parent,
    folders,
    files: options.withTexts ? await textFiles(folder, entries, options.purpose ?? 'measure') : [],
  }
}

/** What a folder holds, from the names in it; what is neither is explained. */
export async function identifyFolder(folder: string): Promise<FolderKind> {
  if (await isProject(folder)) return { path: folder, kind: 'project' }
  const model = await modelFolderOf(folder)
  if (await holdsModel(model)) return { path: model, kind: 'model' }
  const problem = await explainFolder(model)
  return { path: folder, kind: 'other', ...(problem ? { problem: withoutStack(problem) } : {}) }
}

function withoutStack(error: AppError): AppErrorData {
  const { stack: _, ...data } = error.toData()
  return data
}

/** Files with the usual extensions of text, by name. */
async function textFiles(
  folder: string,
  entries: readonly Dirent[],
  purpose: TextPurpose,
): Promise<{ name: string; bytes: number }[]> {
  const ends = TEXT_EXTENSIONS[purpose].map((extension) => `.${extension}`)
  const isText = (name: string): boolean => ends.some((end) => name.toLowerCase().endsWith(end))
  const names = entries
    .filter(({ name }) => isText(name) && !name.startsWith('.'))
    .map(({ name }) => name)
    .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))
    .slice(0, MAX_FOLDERS)
  const files: { name: string; bytes: number }[] = []
  for (const name of names) {
    const found = await stat(join(folder, name)).catch(() => null)
    if (found?.isFile()) files.push({ name, bytes: found.size })
  }
  return files
}

async function readFolder(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (cause) {
    if (['EACCES', 'EPERM'].includes(systemCode(cause))) {
      throw new AppError('path_denied', `${folder} may not be read.`, {
        hint: 'Choose another folder, or change its permissions.',
        context: { file: folder },
        cause,
      })
    }
    throw new AppError('not_found', `${folder} is not a folder.`, {
      context: { file: folder },
      cause,
    })
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false
}

function isProject(folder: string): Promise<boolean> {
  return exists(join(folder, PROJECT_FILE))
}

/** Also of a repository in the Hugging Face cache, which leads to a snapshot. */
async function isModel(folder: string): Promise<boolean> {
  return holdsModel(await modelFolderOf(folder))
}
