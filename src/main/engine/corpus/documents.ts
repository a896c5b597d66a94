/** @file The documents of text files, one after another, without holding a file as a whole. */
import { open, type FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { AppError } from '@shared/errors'
import { fewOf } from '@shared/text'
import { formatBytes } from '@shared/units'
import { readError, systemCode } from '@system/errors'
import { TELLING_BYTES, wrongContentOf } from '@system/wrongContent'
import type { SourceFiles } from '../checkpoint/SourceFiles'
import { readParquetTexts } from './parquet'
import type { TextFile } from './textFiles'
import { decodeUtf8, InvalidUtf8, unfinishedBytes } from './utf8'

/**
 * Characters that are tokenised as one text at most: the library took 150 bytes for each of them (measured, byte-level
 * BPE), so that a dump of gigabytes in one file could not be tokenised otherwise.
 */
export const MAX_PIECE = 2 ** 22

/** Bytes of a line, which is a document: far above any, far below what a string can hold. */
const MAX_LINE_BYTES = 2 ** 27

const READ_BYTES = 2 ** 20

const NEW_LINE = 0x0a
const BYTE_ORDER_MARK = '\ufeff'

/** A document, or a part of one that is longer than {@link MAX_PIECE}. */
export interface Piece {
  readonly text: string
  /** Whether the document ends with it. */
  readonly ends: boolean
  /** Bytes of the file that have been read so far. */
  readonly readBytes: number
}

export interface ReadOptions {
  /** Field of `.jsonl` and column of `.parquet`. */
  readonly field: string
  /** Told what the file is when it is opened. */
  readonly sources: SourceFiles
  readonly signal: AbortSignal
}

/**
 * Reads a file's documents. A long one comes in pieces, which are cut at the end of a line, or of a word, where there is
 * one.
 *
 * @throws AppError `bad_request` naming the file and the place in it; `not_found`, `path_denied`.
 */
export async function* readDocuments(
  { path, format }: TextFile,
  { field, sources, signal }: ReadOptions,
): AsyncGenerator<Piece> {
  const handle = await open(path).catch((error: unknown) => {
    throw readError(error, path, 'bad_request')
  })
  try {
    sources.see(path, await handle.stat({ bigint: true }))
    if (format === '.parquet') {
      for await (const { text, readBytes } of readParquetTexts(handle, path, field)) {
        signal.throwIfAborted()
        yield* piecesOf(text, readBytes)
      }
      return
    }
    const bytes = new TextBytes(handle, path, format.endsWith('.gz'), signal)
    if (format.startsWith('.txt')) yield* readText(bytes)
    else yield* readLines(bytes, field)
  } catch (error) {
    if (signal.aborted || (systemCode(error) === '' && !(error instanceof AppError))) throw error
    throw await sources.explain(path, readError(error, path, 'bad_request'))
  } finally {
    await handle.close()
  }
}

/** The bytes of a text file, unpacked. */
class TextBytes {
  /** Bytes of the file that have been read so far. */
  readBytes = 0

  constructor(
    private readonly handle: FileHandle,
    readonly path: string,
    private readonly isPacked: boolean,
    private readonly signal: AbortSignal,
  ) {}

  async *chunks(): AsyncGenerator<Buffer> {
    let isFirst = true
    for await (const chunk of this.isPacked ? this.#unpacked() : this.#raw()) {
      if (isFirst) this.#refuseOthers(chunk)
      isFirst = false
      this.signal.throwIfAborted()
      yield chunk
    }
  }

  async *#raw(): AsyncGenerator<Buffer> {
    for (;;) {
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      const { bytesRead } = await this.handle.read(buffer, 0, READ_BYTES)
      if (bytesRead === 0) return
      this.readBytes += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  async *#unpacked(): AsyncGenerator<Buffer> {
    const gunzip = createGunzip({ chunkSize: READ_BYTES })
    const packed = Readable.from(this.#raw(), { objectMode: false })
    packed.on('error', (error) => gunzip.destroy(error))
    try {
      for await (const chunk of packed.pipe(gunzip)) yield chunk as Buffer
    } catch (error) {
      if (!systemCode(error).startsWith('Z_')) throw error
      const actual = error instanceof Error ? error.message : String(error)
      throw new AppError('bad_request', `${this.path} is no whole gzip file: ${actual}.`, {
        hint: 'Download or pack it again.',
        context: { file: this.path, expected: 'a gzip file', actual },
        cause: error,
      })
    } finally {
      packed.destroy()
      gunzip.destroy()
    }
  }

  /** What is no text, though it could be read as one. */
  #refuseOthers(chunk: Buffer): void {
    const start = chunk.subarray(0, TELLING_BYTES)
    const wrong = wrongContentOf(start)
    // A web page or a byte order mark may well be a text.
    if (!wrong || wrong.mayBeText) return
    throw new AppError('bad_request', `${this.path} ${wrong.what}.`, {
      hint: wrong.hint,
      context: { file: this.path, expected: 'UTF-8 text', actual: wrong.what },
    })
  }
}

/** A file that is one document. */
async function* readText(bytes: TextBytes): AsyncGenerator<Piece> {
  let rest: Buffer = Buffer.alloc(0)
  let decoded = 0
  let text = ''
  const decode = (part: Buffer): string => {
    const more = decodeAt(bytes.path, part, decoded)
    const isStart = decoded === 0
    decoded += part.length
    return isStart && more.startsWith(BYTE_ORDER_MARK) ? more.slice(1) : more
  }
  for await (const chunk of bytes.chunks()) {
    const joined = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const whole = joined.length - unfinishedBytes(joined)
    rest = joined.subarray(whole)
    text += decode(joined.subarray(0, whole))
    while (text.length > MAX_PIECE) {
      const end = cutOf(text)
      yield { text: text.slice(0, end), ends: false, readBytes: bytes.readBytes }
      text = text.slice(end)
    }
  }
  text += decode(rest)
  if (text !== '') yield { text, ends: true, readBytes: bytes.readBytes }
}

/** A file with a document in every line. */
async function* readLines(bytes: TextBytes, field: string): AsyncGenerator<Piece> {
  let parts: Buffer[] = []
  let [line, length, start] = [1, 0, 0]
  const take = (last: Buffer): string | null => {
    const raw = parts.length === 0 ? last : Buffer.concat([...parts, last])
    const decoded = decodeAt(bytes.path, raw, start, line)
    const text = start === 0 && decoded.startsWith(BYTE_ORDER_MARK) ? decoded.slice(1) : decoded
    start += raw.length + 1
    parts = []
    length = 0
    return text.trim() === '' ? null : textOf(text, { file: bytes.path, line, field })
  }
  const add = (part: Buffer): void => {
    length += part.length
    if (length > MAX_LINE_BYTES) throw longLine(bytes.path, line)
  }
  for await (const chunk of bytes.chunks()) {
    let from = 0
    for (;;) {
      const end = chunk.indexOf(NEW_LINE, from)
      const part = chunk.subarray(from, end === -1 ? chunk.length : end)
      add(part)
      if (end === -1) {
        parts.push(part)
        break
      }
      const text = take(part)
      if (text !== null) yield* piecesOf(text, bytes.readBytes)
      line += 1
      from = end + 1
    }
  }
  const text = take(Buffer.alloc(0))
  if (text !== null) yield* piecesOf(text, bytes.readBytes)
}

interface Place {
  readonly file: string
  readonly line: number
  readonly field: string
}

function textOf(json: string, { file, line, field }: Place): string {
  const refuse = (what: string, expected: string, actual: string, cause?: unknown): AppError =>
    new AppError('bad_request', `Line ${line} of ${file} ${what}.`, {
      hint: `Every line has to be a JSON object whose field "${field}" is the document's text; another field can be named.`,
      context: { file, field, expected, actual },
      cause,
    })
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    const actual = cause instanceof Error ? cause.message : 'none'
    throw refuse('is no JSON', 'a JSON object', actual, cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refuse('is no JSON object', 'a JSON object', kindOf(value))
  }
  if (!Object.hasOwn(value, field)) {
    const names = Object.keys(value)
    const actual = names.length === 0 ? 'no fields' : `the fields ${fewOf(names, 8)}`
    throw refuse(`has no field "${field}"`, `a field "${field}"`, actual)
  }
  const text = (value as Readonly<Record<string, unknown>>)[field]
  if (typeof text === 'string') return text
  throw refuse(`has no text in its field "${field}"`, 'a string', kindOf(text))
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `of type ${typeof value}`
}

function longLine(file: string, line: number): AppError {
  const expected = `at most ${formatBytes(MAX_LINE_BYTES)}`
  return new AppError('bad_request', `Line ${line} of ${file} is longer than a document can be.`, {
    hint: 'A .jsonl file has one JSON object a line. Use .txt for a file that is one document.',
    context: { file, expected, actual: 'more' },
  })
}

/** @param at Where in the file, unpacked, the bytes lie. @param line Which line they are. */
function decodeAt(file: string, bytes: Buffer, at: number, line?: number): string {
  try {
    return decodeUtf8(bytes)
  } catch (error) {
    if (!(error instanceof InvalidUtf8)) throw error
    const byte = at + error.at
    const where = line === undefined ? '' : `, in line ${line}`
    throw new AppError('bad_request', `${file} is not UTF-8 text: byte ${byte} is wrong${where}.`, {
      hint: 'Save it as UTF-8.',
      context: {
        file,
        expected: 'UTF-8',
        actual: `0x${bytes[error.at]!.toString(16).padStart(2, '0')} at byte ${byte} (counted from 0)`,
      },
    })
  }
}

function* piecesOf(document: string, readBytes: number): Generator<Piece> {
  let text = document
  while (text.length > MAX_PIECE) {
    const end = cutOf(text)
    yield { text: text.slice(0, end), ends: false, readBytes }
    text = text.slice(end)
  }
  yield { text, ends: true, readBytes }
}

const BLANK = /\s/

/**
 * Where a text is cut that is longer than a piece may be. Byte-level tokenizers never join a line's end with the letter
 * behind it, nor a word with the blank behind it, so that the tokens are those of the whole text.
 */
export function cutOf(text: string, most = MAX_PIECE): number {
  const isBlank = (at: number): boolean => BLANK.test(text.charAt(at))
  for (let at = most; at > most / 2; at -= 1) {
    if (text[at - 1] === '\n' && !isBlank(at)) return at
  }
  for (let at = most; at > most / 2; at -= 1) {
    if (text[at] === ' ' && !isBlank(at - 1) && !isBlank(at + 1)) return at
  }
  const isPair = /[\ud800-\udbff]/.test(text[most - 1]!) && /[\udc00-\udfff]/.test(text[most]!)
  return isPair ? most - 1 : most
}
