/**
 * @file The safetensors container: eight bytes of little-endian header length, a JSON header, the tensors' bytes.
 * Checked as strictly as the reference implementation does: the tensors cover the data exactly, without overlap.
 */
import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { AppError, type ErrorContext } from '@shared/errors'
import { shownValue } from '@shared/text'
import { bitsPerElement } from './dtypes'
import { readError } from '@system/errors'
import { readFully } from './FilePool'
import { JsonProblem, parseStrictJson } from './json'

/** The reference implementation's own ceiling: a longer header is refused before it is read. */
export const MAX_HEADER_BYTES = 100_000_000

const LENGTH_BYTES = 8

/** One tensor of a safetensors file. */
export interface TensorEntry {
  readonly name: string
  /** As written in the file: `BF16`, `F32`, `F8_E4M3`, … */
  readonly dtype: string
  readonly shape: readonly number[]
  /** Bytes from the start of the file. */
  readonly offset: number
  readonly byteLength: number
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly metadata: Readonly<Record<string, string>>
  /** Of the whole file. */
  readonly fileBytes: number
  /** What the file was when it was opened. */
  readonly stats: BigIntStats
  /** SHA-256 of the header's bytes, hexadecimal. */
  readonly digest: string
}

/**
 * Reads and checks a safetensors header; no tensor is read.
 *
 * @throws AppError `bad_checkpoint` saying what is wrong with the file, `not_found`, `path_denied`.
 */
export async function readSafetensorsHeader(file: string): Promise<SafetensorsHeader> {
  let handle: FileHandle | undefined
  try {
    // Before opening: opening a pipe would wait for ever.
    if (!(await stat(file)).isFile()) throw bad(file, 'is not a regular file', {})
    const opened = (handle = await open(file, 'r'))
    const stats = await opened.stat({ bigint: true })
    const fileBytes = Number(stats.size)
    const bytes = await readHeaderBytes(file, fileBytes, (offset, target) =>
      readFully(opened, file, offset, target),
    )
    const dataStart = LENGTH_BYTES + bytes.byteLength
    return {
      ...parseHeader(file, bytes, dataStart, fileBytes),
      fileBytes,
      stats,
      digest: createHash('sha256').update(bytes).digest('hex'),
    }
  } catch (error) {
    throw readError(error, file)
  } finally {
    await handle?.close()
  }
}

async function readHeaderBytes(
  file: string,
  fileBytes: number,
  read: (offset: number, target: Uint8Array) => Promise<void>,
): Promise<Uint8Array> {
  if (fileBytes < LENGTH_BYTES) {
    throw bad(file, 'is too short to be a safetensors file', {
      expected: `at least ${LENGTH_BYTES} bytes`,
      actual: `${fileBytes} bytes`,
    })
  }
  const lengthBytes = new Uint8Array(LENGTH_BYTES)
  await read(0, lengthBytes)
  const length = new DataView(lengthBytes.buffer).getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw bad(file, 'declares a header above the limit of the format', {
      expected: `at most ${MAX_HEADER_BYTES} bytes`,
      actual: `${length} bytes`,
    })
  }
  if (length > BigInt(fileBytes - LENGTH_BYTES)) {
    throw bad(file, 'declares a header longer than the file', {
      expected: `at most ${fileBytes - LENGTH_BYTES} bytes`,
      actual: `${length} bytes`,
    })
  }
  const header = new Uint8Array(Number(length))
  await read(LENGTH_BYTES, header)
  if (header[0] !== 0x7b) {
    throw bad(file, 'has a header that is not a JSON object', { expected: '{ as its first byte' })
  }
  return header
}

function parseHeader(
  file: string,
  bytes: Uint8Array,
  dataStart: number,
  fileBytes: number,
): Pick<SafetensorsHeader, 'tensors' | 'metadata'> {
  let json: unknown
  try {
    json = parseStrictJson(bytes)
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error
    throw bad(file, `has a broken header: ${error.message}`, {}, error)
  }
  if (!isRecord(json)) throw bad(file, 'has a header that is not a JSON object', {})
  const { __metadata__: metadata, ...entries } = json
  const dataBytes = fileBytes - dataStart
  const tensors = Object.entries(entries).map(([name, entry]) =>
    parseEntry(file, name, entry, dataStart, dataBytes),
  )
  checkCoverage(file, tensors, dataStart, dataBytes)
  return {
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    metadata: parseMetadata(file, metadata),
  }
}

function parseMetadata(file: string, metadata: unknown): Record<string, string> {
  if (metadata === undefined || metadata === null) return {}
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    throw bad(file, 'has metadata that is not a map from text to text', { field: '__metadata__' })
  }
  return metadata as Record<string, string>
}

function parseEntry(
  file: string,
  tensor: string,
  entry: unknown,
  dataStart: number,
  dataBytes: number,
): TensorEntry {
  if (!isRecord(entry)) {
    throw bad(file, `describes tensor "${tensor}" by something that is no object`, { tensor })
  }
  const { dtype, shape, data_offsets: offsets } = entry
  const bits = typeof dtype === 'string' ? bitsPerElement(dtype) : null
  if (typeof dtype !== 'string' || bits === null) {
    throw bad(file, `gives tensor "${tensor}" an element type that the format does not have`, {
      tensor,
      field: 'dtype',
      actual: shownValue(dtype),
    })
  }
  if (!isNaturals(shape)) {
    throw bad(file, `gives tensor "${tensor}" a broken shape`, {
      tensor,
      field: 'shape',
      expected: 'a list of whole numbers, 0 or more',
      actual: shownValue(shape),
    })
  }
  if (!isNaturals(offsets) || offsets.length !== 2) {
    throw bad(file, `gives tensor "${tensor}" broken offsets`, {
      tensor,
      field: 'data_offsets',
      expected: 'two whole numbers, 0 or more',
      actual: shownValue(offsets),
    })
  }
  const [begin = 0, end = 0] = offsets
  if (begin > end || end > dataBytes) {
    throw bad(
      file,
      end > dataBytes
        ? `is truncated: tensor "${tensor}" ends beyond the file`
        : `gives tensor "${tensor}" offsets that run backwards`,
      {
        tensor,
        field: 'data_offsets',
        expected: `rising, within ${dataBytes} bytes of data`,
        actual: `${begin} to ${end}`,
      },
    )
  }
  const needed = bytesOf(shape, bits)
  if (needed !== end - begin) {
    throw bad(file, `gives tensor "${tensor}" a size that is not that of its shape`, {
      tensor,
      field: 'data_offsets',
      expected: `${needed ?? 'a countable number of'} bytes for ${dtype} [${shape.join(', ')}]`,
      actual: `${end - begin} bytes`,
    })
  }
  return { name: tensor, dtype, shape, offset: dataStart + begin, byteLength: end - begin }
}

/** Bytes of a tensor, or `null` when they are not whole or beyond what a number can hold exactly. */
function bytesOf(shape: readonly number[], bits: number): number | null {
  if (shape.includes(0)) return 0
  let count = 1
  for (const dimension of shape) {
    count *= dimension
    if (!Number.isSafeInteger(count * bits)) return null
  }
  return (count * bits) % 8 === 0 ? (count * bits) / 8 : null
}

/** The tensors must fill the data from end to end, each byte belonging to exactly one. */
function checkCoverage(
  file: string,
  tensors: readonly TensorEntry[],
  dataStart: number,
  dataBytes: number,
): void {
  const inOrder = [...tensors].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)
  let position = dataStart
  let previous = 'the header'
  for (const { name, offset, byteLength } of inOrder) {
    if (offset !== position) {
      const what = offset < position ? 'overlap' : 'leave a hole'
      throw bad(file, `has tensors that ${what}: ${previous} and "${name}"`, {
        tensor: name,
        field: 'data_offsets',
        expected: `a start at ${position - dataStart}`,
        actual: `a start at ${offset - dataStart}`,
      })
    }
    position += byteLength
    previous = `"${name}"`
  }
  if (position !== dataStart + dataBytes) {
    throw bad(file, 'has bytes after its last tensor', {
      expected: `${position - dataStart} bytes of data`,
      actual: `${dataBytes} bytes`,
    })
  }
}

/**
 * The bytes before the data of a safetensors file: length and JSON, padded with spaces so that the data starts at a
 * multiple of eight. Tensors are laid out in the order given.
 */
export function encodeSafetensorsHeader(
  tensors: readonly Pick<TensorEntry, 'name' | 'dtype' | 'shape' | 'byteLength'>[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const parts = [`"__metadata__":${JSON.stringify(metadata)}`]
  let position = 0
  for (const { name, dtype, shape, byteLength } of tensors) {
    const data_offsets = [position, position + byteLength]
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets })}`)
    position += byteLength
  }
  const json = new TextEncoder().encode(`{${parts.join(',')}}`)
  const padded = Math.ceil(json.byteLength / 8) * 8
  if (padded > MAX_HEADER_BYTES) {
    throw new AppError(
      'write_failed',
      'The shard has more tensors than a safetensors header holds.',
      {
        hint: 'Choose a smaller shard size.',
        context: { expected: `at most ${MAX_HEADER_BYTES} bytes`, actual: `${padded} bytes` },
      },
    )
  }
  const bytes = new Uint8Array(LENGTH_BYTES + padded).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true)
  bytes.set(json, LENGTH_BYTES)
  return bytes
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNaturals(value: unknown): value is number[] {
  return (
    Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && Number(item) >= 0)
  )
}

function bad(file: string, what: string, context: ErrorContext, cause?: unknown): AppError {
  return new AppError('bad_checkpoint', `${file} ${what}.`, {
    hint: 'The file is damaged or incomplete. Download or convert it again.',
    context: { file, ...context },
    ...(cause === undefined ? {} : { cause }),
  })
}
