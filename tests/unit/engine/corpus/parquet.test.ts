import { open, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readParquetTexts } from '../../../../src/main/engine/corpus/parquet'
import { tempFolder } from '../../../support/tempFolder'

const FIXTURES = resolve(import.meta.dirname, '../../../fixtures/corpus')
const fixture = (name: string): string => join(FIXTURES, `${name}.parquet`)

const { documents } = JSON.parse(await readFile(join(FIXTURES, 'documents.json'), 'utf8')) as {
  documents: string[]
}

async function textsOf(path: string, column = 'text'): Promise<string[]> {
  const handle = await open(path)
  try {
    const texts: string[] = []
    for await (const { text } of readParquetTexts(handle, path, column)) texts.push(text)
    return texts
  } finally {
    await handle.close()
  }
}

/** A file whose bytes are the fixture's, changed. */
async function changed(name: string, change: (bytes: Buffer) => Buffer): Promise<string> {
  const path = join(await tempFolder(), 'changed.parquet')
  await writeFile(path, change(await readFile(fixture(name))))
  return path
}

test.each(['none', 'snappy', 'gzip', 'brotli', 'zstd', 'lz4', 'pages2'])(
  'reads the texts of every row group: %s',
  async (name) => {
    expect(await textsOf(fixture(name))).toEqual(documents)
  },
)

test('reads none of a file without rows', async () => {
  expect(await textsOf(fixture('empty'))).toEqual([])
})

describe('refuses', () => {
  test('a column that is not there, with those that are', async () => {
    await expect(textsOf(fixture('none'), 'body')).rejects.toMatchObject({
      code: 'bad_request',
      hint: expect.stringContaining('id, text') as unknown,
      context: { file: fixture('none'), field: 'body', actual: 'id, text' },
    })
  })

  test.each([
    ['numbers', 'n', 'of type INT64'],
    ['objects', 'messages', 'a nested column'],
    ['lists', 'tags', 'a nested column'],
  ])('a column of %s', async (_, column, actual) => {
    await expect(textsOf(fixture('nested'), column)).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: column, expected: 'a column of strings', actual },
    })
  })

  test.each([
    ['a missing value', 'nulls', 'null'],
    ['other bytes than UTF-8', 'latin1', 'not UTF-8 from its byte 3 on'],
  ])('%s, with its row', async (_, name, actual) => {
    await expect(textsOf(fixture(name))).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('Row 1 of') as unknown,
      context: { file: fixture(name), field: 'text', actual },
    })
  })

  test.each([
    ['a file that is cut off', (bytes: Buffer) => bytes.subarray(0, -20)],
    ['a text', () => Buffer.from('{"text":"a"}\n')],
    ['an empty file', () => Buffer.alloc(0)],
    ['a Git LFS pointer', () => Buffer.from('version https://git-lfs.github.com/spec/v1\n')],
    [
      'an encrypted file',
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -4), Buffer.from('PARE')]),
    ],
    [
      'a description larger than the file',
      (bytes: Buffer) => {
        bytes.writeUInt32LE(0x7fffffff, bytes.length - 8)
        return bytes
      },
    ],
  ])('%s', async (_, change) => {
    const path = await changed('none', change)
    await expect(textsOf(path)).rejects.toMatchObject({
      code: 'bad_request',
      context: { file: path, expected: 'a Parquet file' },
    })
  })

  test.each([
    ['anywhere', 'zstd', 4, 97],
    ['in its description', 'brotli', -580, 3],
  ])('damage %s, by name', async (_, name, start, step) => {
    const { length } = await readFile(fixture(name))
    for (let at = start < 0 ? length + start : start; at < length; at += step) {
      const path = await changed(name, (bytes) => {
        bytes[at] = (at * 7919) & 255
        return bytes
      })
      const outcome = await textsOf(path).catch((error: unknown) => error)
      // Bytes that mean nothing, or a letter of the text, may change without harm.
      if (!Array.isArray(outcome)) expect(outcome).toMatchObject({ context: { file: path } })
    }
  })
})
