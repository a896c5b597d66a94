import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { SourceFiles } from '../../../../src/main/engine/checkpoint/SourceFiles'
import {
  cutOf,
  MAX_PIECE,
  readDocuments,
  type Piece,
} from '../../../../src/main/engine/corpus/documents'
import { findTexts } from '../../../../src/main/engine/corpus/textFiles'
import { tempFolder } from '../../../support/tempFolder'

async function piecesOf(
  name: string,
  content: string | Uint8Array,
  field = 'text',
): Promise<Piece[]> {
  const path = join(await tempFolder(), name)
  await writeFile(path, content)
  const [file] = (await findTexts([path])).files
  const { signal } = new AbortController()
  const pieces: Piece[] = []
  for await (const piece of readDocuments(file!, { field, sources: new SourceFiles(), signal })) {
    pieces.push(piece)
  }
  return pieces
}

async function textsOf(...of: Parameters<typeof piecesOf>): Promise<string[]> {
  return (await piecesOf(...of)).map(({ text }) => text)
}

describe('.txt', () => {
  test('is one document, with its line ends and without its byte order mark', async () => {
    const text = 'Straße\r\n你好 🙂\n\n\ufeff end'
    expect(await piecesOf('a.txt', `\ufeff${text}`)).toEqual([
      { text, ends: true, readBytes: Buffer.byteLength(text) + 3 },
    ])
  })

  test('holds no document when it is empty', async () => {
    expect(await textsOf('a.txt', '')).toEqual([])
    expect(await textsOf('a.txt', '\ufeff')).toEqual([])
  })

  test('keeps characters whole that lie where one read ends', async () => {
    const text = `a${'🙂'.repeat(2 ** 18)}`
    expect((await textsOf('a.txt', text))[0] === text).toBe(true)
  })

  test('comes in pieces when it is long, cut where a line begins', async () => {
    const text = 'A line of some words.\n'.repeat(Math.ceil((2.2 * MAX_PIECE) / 22))
    const pieces = await piecesOf('a.txt', text)
    expect(pieces.map(({ ends }) => ends)).toEqual([false, false, true])
    for (const piece of pieces) {
      expect(piece.text.length).toBeLessThanOrEqual(MAX_PIECE)
      expect(piece.text.slice(0, 6)).toBe('A line')
    }
    expect(pieces.map((piece) => piece.text).join('') === text).toBe(true)
  })

  test.each([
    ['a wrong byte', Buffer.from('Caf\xe9 au lait', 'latin1'), 3, '0xe9'],
    ['a character that is cut off', Buffer.from('né').subarray(0, 2), 1, '0xc3'],
    ['an overlong spelling', Buffer.from([0x61, 0xc0, 0x80]), 1, '0xc0'],
    ['behind a replacement character of its own', Buffer.from([0xef, 0xbf, 0xbd, 0xff]), 3, '0xff'],
    [
      'far behind the first read',
      Buffer.concat([Buffer.alloc(3e6, 'é'), Buffer.from([0x80])]),
      3e6,
      '0x80',
    ],
  ])('refuses %s', async (_, bytes, at, byte) => {
    await expect(piecesOf('a.txt', bytes)).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining(`byte ${at} is wrong`) as unknown,
      context: {
        file: expect.stringContaining('a.txt') as unknown,
        actual: expect.stringContaining(byte) as unknown,
      },
    })
  })

  test.each([
    ['UTF-16', Buffer.from('\ufefftext', 'utf16le')],
    ['Git LFS', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'],
  ])('refuses %s, and says what it is', async (what, content) => {
    await expect(piecesOf('a.txt', content)).rejects.toThrow(what)
  })

  test('may be a web page', async () => {
    expect(await textsOf('a.txt', '<!doctype html><p>')).toEqual(['<!doctype html><p>'])
  })
})

describe('.jsonl', () => {
  test('has a document in every line that is not blank', async () => {
    const lines = [
      '\ufeff{"text":"a"}',
      '',
      '  \r',
      '{"id":1,"text":"b\\n\\u2028"}\r',
      '{"text":""}',
    ]
    expect(await textsOf('a.jsonl', lines.join('\n'))).toEqual(['a', 'b\n\u2028', ''])
    expect(await textsOf('a.jsonl', `${lines.join('\n')}\n`)).toEqual(['a', 'b\n\u2028', ''])
    expect(await textsOf('a.jsonl', '')).toEqual([])
  })

  test('has the text in the field that is named', async () => {
    expect(await textsOf('a.jsonl', '{"text":1,"body":"a"}', 'body')).toEqual(['a'])
  })

  test('may have lines longer than a read', async () => {
    const long = 'x'.repeat(2.5e6)
    const texts = await textsOf('a.jsonl', `{"text":"${long}"}\n{"text":"b"}`)
    expect(texts.map((text) => text.length)).toEqual([long.length, 1])
  })

  test.each([
    ['what is no JSON', '{"text":"a"', { expected: 'a JSON object' }],
    ['an array', '["a"]', { expected: 'a JSON object', actual: 'an array' }],
    ['a number', '7', { actual: 'of type number' }],
    ['a missing field', '{"id":1,"body":"a"}', { field: 'text', actual: 'the fields id, body' }],
    ['an inherited name', '{}', { field: 'text', actual: 'no fields' }],
    ['null', '{"text":null}', { expected: 'a string', actual: 'null' }],
    ['an object', '{"text":{}}', { expected: 'a string', actual: 'of type object' }],
  ])('refuses %s with its line', async (_, line, context) => {
    await expect(piecesOf('a.jsonl', `{"text":"a"}\n\n${line}\n`)).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringMatching(/^Line 3 of .*a\.jsonl /) as unknown,
      context: { file: expect.stringContaining('a.jsonl') as unknown, ...context },
    })
  })

  test('refuses wrong bytes with their line and place', async () => {
    const bytes = Buffer.from('{"text":"a"}\n{"text":"\xe9"}', 'latin1')
    await expect(piecesOf('a.jsonl', bytes)).rejects.toThrow('byte 22 is wrong, in line 2')
  })

  test('refuses a line without end', async () => {
    await expect(piecesOf('a.jsonl', Buffer.alloc(2 ** 27 + 1, ' '))).rejects.toThrow('Line 1')
  })
})

describe('.gz', () => {
  test('is read as what is packed, in several members too', async () => {
    const members = [gzipSync('{"text":"a"}\n{"te'), gzipSync('xt":"b"}\n')]
    expect(await textsOf('a.jsonl.gz', Buffer.concat(members))).toEqual(['a', 'b'])
    expect(await textsOf('a.txt.gz', gzipSync('\ufeffStraße'))).toEqual(['Straße'])
  })

  const packed = gzipSync('some text '.repeat(1000))
  const flipped = Buffer.from(packed)
  flipped[packed.length - 6]! ^= 1
  test.each([
    ['cut off', packed.subarray(0, -9)],
    ['of another kind', Buffer.from('plain text')],
    ['with a wrong checksum', flipped],
  ])('refuses one %s', async (_, bytes) => {
    await expect(piecesOf('a.txt.gz', bytes)).rejects.toMatchObject({
      code: 'bad_request',
      context: { file: expect.stringContaining('a.txt.gz') as unknown, expected: 'a gzip file' },
    })
  })
})

describe('cutOf', () => {
  test.each([
    ['behind a line', 'ab cd\nef gh', 8, 6],
    ['before a blank where no line ends', 'abcde fg hijk', 10, 8],
    ['anywhere in one long word', 'abcdefghij', 6, 6],
    ['not within a pair', 'abcde🙂fgh', 6, 5],
    ['not between blank lines', 'abcd\n\n\nef gh', 9, 7],
  ])('cuts %s', (_, text, most, at) => {
    expect(cutOf(text, most)).toBe(at)
  })
})
