/** @file A column of text in a Parquet file. */
import type { FileHandle } from 'node:fs/promises'
import {
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type AsyncBuffer,
  type FileMetaData,
} from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { AppError } from '@shared/errors'
import { fewOf } from '@shared/text'
import { formatBytes } from '@shared/units'
import { TELLING_BYTES, wrongContentOf } from '@system/wrongContent'
import { readFully } from '../checkpoint/FilePool'
import { decodeUtf8, InvalidUtf8 } from './utf8'

/** A file ends with its description, that one's length and a mark. */
const END_BYTES = 8
const MARK = 'PAR1'
const ENCRYPTED_MARK = 'PARE'

/** Descriptions grow with row groups and columns; those of the largest files have some megabytes. */
const MAX_FOOTER_BYTES = 2 ** 27

/** Of one column in one row group, unpacked: it is held in memory. */
const MAX_CHUNK_BYTES = 2 ** 31

/** Columns that a message names. */
const NAMED = 12

export interface ParquetText {
  readonly text: string
  /** About how many bytes of the file lie behind. */
  readonly readBytes: number
}

/**
 * Reads the texts of a column, one row group at a time.
 *
 * @throws AppError `bad_request` naming the file, and the row of a value that is no text.
 */
export async function* readParquetTexts(
  handle: FileHandle,
  path: string,
  column: string,
): AsyncGenerator<ParquetText> {
  const { size } = await handle.stat()
  const file: AsyncBuffer = {
    byteLength: size,
    slice: async (start, end = size) => {
      const bytes = new Uint8Array(Math.max(0, end - start))
      await readFully(handle, path, start, bytes)
      return bytes.buffer
    },
  }
  await requireParquet(file, path)
  const metadata = await understood(path, () => parquetMetadataAsync(file))
  requireText(metadata, path, column)
  const rows = Number(metadata.num_rows)
  let start = 0
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows)
    requireMemory(group, path, column)
    const values: ArrayLike<unknown> = await understood(path, async () => {
      const scan = await parquetScan({
        file,
        metadata,
        columns: [column],
        rowStart: start,
        rowEnd: end,
        compressors,
        // Text is decoded document by document: as strings a row group would take twice its memory.
        parsers: { stringFromBytes: (bytes: Uint8Array) => bytes },
        useOffsetIndex: false,
      })
      return scan.readColumn({ column, rowStart: start, rowEnd: end })
    })
    if (values.length !== end - start) {
      throw damaged(path, `${values.length} values for the ${end - start} rows from ${start} on`)
    }
    for (let index = 0; index < values.length; index += 1) {
      const row = start + index
      const text = textOf(values[index], { path, column, row })
      yield { text, readBytes: Math.floor((size * (row + 1)) / rows) }
    }
    start = end
  }
}

async function requireParquet(file: AsyncBuffer, path: string): Promise<void> {
  const size = file.byteLength
  const refuse = (actual: string, hint: string): AppError =>
    new AppError('bad_request', `${path} is no Parquet file that can be read: ${actual}.`, {
      hint,
      context: { file: path, expected: 'a Parquet file', actual },
    })
  const head = new Uint8Array(await file.slice(0, Math.min(size, TELLING_BYTES)))
  const wrong = wrongContentOf(head)
  if (wrong) throw refuse(`it ${wrong.what}`, wrong.hint)
  const end = Buffer.from(await file.slice(Math.max(0, size - END_BYTES), size))
  const mark = end.toString('latin1', end.length - MARK.length)
  if (mark === ENCRYPTED_MARK) throw refuse('it is encrypted', 'Write it without encryption.')
  if (mark !== MARK || size < END_BYTES + MARK.length) {
    throw refuse('it does not end as one does', 'It is truncated, or of another kind.')
  }
  const bytes = end.readUInt32LE(0)
  if (bytes > MAX_FOOTER_BYTES || bytes > size - END_BYTES) {
    throw refuse(`its description would have ${formatBytes(bytes)}`, 'The file is damaged.')
  }
}

function requireText(metadata: FileMetaData, path: string, column: string): void {
  const columns = parquetSchema(metadata).children
  const found = columns.find(({ element }) => element.name === column)
  const names = fewOf(
    columns.map(({ element }) => element.name),
    NAMED,
  )
  if (!found) {
    throw new AppError('bad_request', `${path} has no column "${column}".`, {
      hint: `It has ${names}. Name the one that holds the text.`,
      context: { file: path, field: column, expected: `a column "${column}"`, actual: names },
    })
  }
  const { type, repetition_type: repetition } = found.element
  const isText = found.children.length === 0 && type === 'BYTE_ARRAY' && repetition !== 'REPEATED'
  if (isText) return
  const actual = found.children.length === 0 ? `of type ${type ?? 'unknown'}` : 'a nested column'
  throw new AppError('bad_request', `The column "${column}" of ${path} is no text.`, {
    hint: `The file has the columns ${names}.`,
    context: { file: path, field: column, expected: 'a column of strings', actual },
  })
}

function requireMemory(
  { columns }: FileMetaData['row_groups'][number],
  path: string,
  column: string,
): void {
  const chunk = columns.find(({ meta_data: facts }) => facts?.path_in_schema[0] === column)
  const { total_uncompressed_size: unpacked = 0n, total_compressed_size: packed = 0n } =
    chunk?.meta_data ?? {}
  const bytes = Math.max(Number(unpacked), Number(packed))
  if (bytes <= MAX_CHUNK_BYTES) return
  const expected = `at most ${formatBytes(MAX_CHUNK_BYTES)} of text in a row group`
  throw new AppError('bad_request', `A row group of ${path} is too large to be read.`, {
    hint: 'Write the file with smaller row groups.',
    context: { file: path, field: column, expected, actual: formatBytes(bytes) },
  })
}

function textOf(
  value: unknown,
  { path, column, row }: { readonly path: string; readonly column: string; readonly row: number },
): string {
  const refuse = (actual: string): AppError =>
    new AppError('bad_request', `Row ${row} of ${path} has no text in its column "${column}".`, {
      hint: 'Leave such rows out (rows are counted from 0), or name another column.',
      context: { file: path, field: column, expected: 'UTF-8 text', actual },
    })
  if (!(value instanceof Uint8Array)) {
    throw refuse(value === null || value === undefined ? 'null' : `of type ${typeof value}`)
  }
  try {
    return decodeUtf8(value)
  } catch (error) {
    if (error instanceof InvalidUtf8) throw refuse(`not UTF-8 from its byte ${error.at} on`)
    throw error
  }
}

/** What the library throws says that the file is not as it should be: what the system says of it comes as AppError. */
async function understood<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof AppError) throw error
    throw damaged(path, error instanceof Error ? error.message : String(error), error)
  }
}

function damaged(path: string, actual: string, cause?: unknown): AppError {
  return new AppError('bad_request', `${path} is a Parquet file that cannot be read: ${actual}.`, {
    hint: 'It is damaged, or written in a way that is not known here.',
    context: { file: path, actual },
    cause,
  })
}
