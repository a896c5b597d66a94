/** @file The files that texts are read from: which there are, before anything of them is read. */
import type { Dirent } from 'node:fs'
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { AppError } from '@shared/errors'
import { fewOf } from '@shared/text'
import { readError, systemCode } from '@system/errors'
import type { FileIdentity } from '../checkpoint/SourceFiles'

/** What a text file is, by the end of its name. */
const FORMATS = ['.txt', '.jsonl', '.parquet', '.txt.gz', '.jsonl.gz'] as const
export type TextFormat = (typeof FORMATS)[number]

const EXPECTED = '.txt, .jsonl, either of them gzipped (.gz), .parquet, or a folder of such files'

/** More than any collection of texts that fits a disk sensibly has. */
const MAX_FILES = 100_000

/** How much larger text is than its file where that is packed: what gzip and Parquet's usual methods make of prose. */
const PACKED = 3

/** Names that a remark lists. */
const NAMED = 5

/** A file with text. */
export interface TextFile {
  /** Absolute. */
  readonly path: string
  readonly format: TextFormat
  /** Which of the paths that were asked for it belongs to. */
  readonly source: number
  readonly identity: FileIdentity
}

export interface FoundTexts {
  /** As they are read. */
  readonly files: readonly TextFile[]
  /** What was passed over, a sentence each. */
  readonly remarks: readonly string[]
}

export interface CheckedTexts {
  /** Of all files together, as they lie on the disk. */
  readonly bytes: number
  /** About how much text that is, for an estimate. */
  readonly textBytes: number
  readonly files: number
  /** What was passed over, a sentence each. */
  readonly remarks: readonly string[]
}

/**
 * Finds out before any work whether there is something to read: files of a kind that is known, or folders of them.
 *
 * @throws AppError `bad_request`, `not_found`, `path_denied`.
 */
export async function checkTexts(paths: readonly string[]): Promise<CheckedTexts> {
  const { files, remarks } = await findTexts(paths)
  const sizes = files.map(({ identity }) => Number(identity.size))
  const texts = files.map(({ format }, index) => (isPacked(format) ? PACKED : 1) * sizes[index]!)
  return { bytes: sum(sizes), textBytes: sum(texts), files: files.length, remarks }
}

/**
 * Lists the files that texts are read from: those that are named, and those in folders that are named, deeper folders
 * included, in the order of their names. Hidden files are passed over; so is, with a remark, what is of another kind,
 * and what was there already under another name.
 *
 * @throws AppError `bad_request`, `not_found`, `path_denied`.
 */
export async function findTexts(paths: readonly string[]): Promise<FoundTexts> {
  const files: TextFile[] = []
  const remarks: string[] = []
  const seen = new Set<string>()
  const repeated: string[] = []

  const add = async (path: string, format: TextFormat, source: number): Promise<void> => {
    const real = await realpath(path)
    if (seen.has(real)) {
      repeated.push(basename(path))
      return
    }
    seen.add(real)
    if (files.length === MAX_FILES) throw tooMany(path)
    // Opened rather than asked about: what the system answers to that is not always what it does.
    await (await open(path)).close()
    files.push({ path, format, source, identity: await stat(path, { bigint: true }) })
  }

  for (const [source, given] of paths.entries()) {
    const path = resolve(given)
    const stats = await stat(path).catch((error: unknown) => {
      throw readError(error, path, 'bad_request')
    })
    if (!stats.isDirectory()) {
      const format = formatOf(path)
      if (!stats.isFile()) throw refused(path, 'not a regular file')
      if (!format) throw refused(path, 'a file of another kind')
      await readable(path, () => add(path, format, source))
      continue
    }
    const before = files.length + repeated.length
    const passedOver: string[] = []
    for await (const found of filesIn(path)) {
      if (found.format) await readable(found.path, () => add(found.path, found.format!, source))
      else passedOver.push(found.path.slice(path.length + 1))
    }
    if (files.length + repeated.length === before) {
      throw refused(
        path,
        passedOver.length === 0 ? 'an empty folder' : 'a folder with none of them',
      )
    }
    if (passedOver.length > 0) {
      remarks.push(`Passed over in ${path}, as no texts: ${fewOf(passedOver, NAMED)}.`)
    }
  }
  if (repeated.length > 0) {
    remarks.push(`Named more than once and read once: ${fewOf(repeated, NAMED)}.`)
  }
  return { files, remarks }
}

/** All that lies in a folder, in the order of names, with the format of what is a text. */
async function* filesIn(
  folder: string,
): AsyncGenerator<{ readonly path: string; readonly format: TextFormat | null }> {
  const entries = await readable(folder, () => readdir(folder, { withFileTypes: true }))
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesIn(path)
    else yield { path, format: (await isFile(entry, path)) ? formatOf(path) : null }
  }
}

/** Links to files count: the Hugging Face cache consists of them. One to a folder may lead round in a circle. */
async function isFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile()
  return (await stat(path).catch(() => null))?.isFile() ?? false
}

function formatOf(path: string): TextFormat | null {
  const name = basename(path).toLowerCase()
  return FORMATS.find((format) => name.endsWith(format)) ?? null
}

function isPacked(format: TextFormat): boolean {
  return format !== '.txt' && format !== '.jsonl'
}

async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw systemCode(error) === '' ? error : readError(error, path, 'bad_request')
  }
}

function refused(file: string, actual: string): AppError {
  return new AppError('bad_request', `No text can be read from ${file}: it is ${actual}.`, {
    hint: `Texts are read from ${EXPECTED}.`,
    context: { file, expected: EXPECTED, actual },
  })
}

function tooMany(file: string): AppError {
  return new AppError('bad_request', `There are more than ${MAX_FILES} files with texts.`, {
    hint: 'Put many documents into one file: .jsonl with one document a line, or .parquet.',
    context: { file, expected: `at most ${MAX_FILES} files`, actual: 'more' },
  })
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
