import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  encodeSafetensorsHeader,
  MAX_HEADER_BYTES,
  readSafetensorsHeader,
} from '../../../../src/main/engine/checkpoint/safetensors'
import { safetensorsFile } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

async function read(bytes: Uint8Array) {
  const file = join(await tempFolder(), 'model.safetensors')
  await writeFile(file, bytes)
  return readSafetensorsHeader(file)
}

/** A header of one tensor with some fields replaced. */
function oneTensor(changes: Record<string, unknown>, dataBytes = 8): Uint8Array {
  const entry = { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...changes }
  return safetensorsFile(JSON.stringify({ a: entry }), new Uint8Array(dataBytes))
}

function lengthOnly(length: bigint, rest = '{}'): Uint8Array {
  const bytes = Buffer.alloc(8 + rest.length)
  bytes.writeBigUInt64LE(length)
  bytes.write(rest, 8)
  return bytes
}

const two = (first: [number, number], second: [number, number], dataBytes: number) =>
  safetensorsFile(
    JSON.stringify({
      a: { dtype: 'U8', shape: [first[1] - first[0]], data_offsets: first },
      b: { dtype: 'U8', shape: [second[1] - second[0]], data_offsets: second },
    }),
    new Uint8Array(dataBytes),
  )

describe('a good file', () => {
  test('gives each tensor its place from the start of the file, in whatever order the header lists them', async () => {
    const header = JSON.stringify({
      later: { dtype: 'I64', shape: [1], data_offsets: [4, 12] },
      __metadata__: { format: 'pt' },
      first: { dtype: 'F8_E4M3', shape: [2, 2], data_offsets: [0, 4] },
    })
    const { tensors, metadata } = await read(safetensorsFile(header, new Uint8Array(12)))
    const start = 8 + header.length
    expect(metadata).toEqual({ format: 'pt' })
    expect(tensors.get('first')).toEqual({
      name: 'first',
      dtype: 'F8_E4M3',
      shape: [2, 2],
      offset: start,
      byteLength: 4,
    })
    expect(tensors.get('later')?.offset).toBe(start + 4)
  })

  test('may hold scalars, empty tensors, packed elements, padding and no tensor at all', async () => {
    const header = JSON.stringify({
      scalar: { dtype: 'F32', shape: [], data_offsets: [0, 4] },
      empty: { dtype: 'F32', shape: [0, 7], data_offsets: [4, 4] },
      packed: { dtype: 'F4', shape: [3, 2], data_offsets: [4, 7] },
    })
    const { tensors } = await read(safetensorsFile(`${header}   `, new Uint8Array(7)))
    expect([...tensors.values()].map(({ byteLength }) => byteLength)).toEqual([4, 0, 3])
    expect((await read(safetensorsFile('{}'))).tensors.size).toBe(0)
  })

  test('reads back what the header encoder writes, the data at a multiple of eight', async () => {
    const tensors = [
      { name: 'a"b\\c', dtype: 'BF16', shape: [3], byteLength: 6 },
      { name: 'é', dtype: 'F32', shape: [1, 2], byteLength: 8 },
    ]
    const header = encodeSafetensorsHeader(tensors, { format: 'pt' })
    expect(header.byteLength % 8).toBe(0)
    const back = await read(Buffer.concat([header, new Uint8Array(14)]))
    expect([...back.tensors.values()].map(({ offset: _, ...tensor }) => tensor)).toEqual(tensors)
    expect(back.tensors.get('a"b\\c')?.offset).toBe(header.byteLength)
  })
})

describe('a bad file is refused, naming what is wrong:', () => {
  const F32_MAX = Number.MAX_SAFE_INTEGER
  const cases: [what: string, bytes: Uint8Array, message: RegExp][] = [
    ['an empty file', new Uint8Array(0), /too short/],
    ['a truncated header length', new Uint8Array(7), /too short/],
    ['a header cut short', lengthOnly(100n), /longer than the file/],
    ['a header length of 2^63', lengthOnly(2n ** 63n), /above the limit/],
    ['a header above the ceiling', lengthOnly(BigInt(MAX_HEADER_BYTES) + 1n), /above the limit/],
    ['a header of length 0', lengthOnly(0n, ''), /not a JSON object/],
    ['a header that is a list', safetensorsFile('[]'), /not a JSON object/],
    ['a header that starts with a space', safetensorsFile(' {}'), /not a JSON object/],
    ['a header that is not JSON', safetensorsFile('{"a":'), /broken header/],
    [
      'a header that is not UTF-8',
      safetensorsFile(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])),
      /UTF-8/,
    ],
    ['a header nested too deep', safetensorsFile(`{"a":${'['.repeat(100_000)}`), /nested/],
    ['data cut short', oneTensor({}, 7), /truncated/],
    ['bytes after the last tensor', oneTensor({}, 9), /after its last tensor/],
    ['offsets beyond the file', oneTensor({ data_offsets: [8, 16] }), /truncated/],
    ['offsets beyond any number', oneTensor({ data_offsets: [0, 1e300] }), /broken offsets/],
    ['offsets that run backwards', oneTensor({ data_offsets: [8, 0] }), /backwards/],
    ['negative offsets', oneTensor({ data_offsets: [-8, 0] }), /broken offsets/],
    ['fractional offsets', oneTensor({ data_offsets: [0, 7.5] }), /broken offsets/],
    ['three offsets', oneTensor({ data_offsets: [0, 4, 8] }), /broken offsets/],
    ['no offsets', oneTensor({ data_offsets: undefined }), /broken offsets/],
    ['overlapping tensors', two([0, 6], [4, 8], 8), /overlap/],
    ['two names for the same bytes', two([0, 8], [0, 8], 8), /overlap/],
    ['a hole between tensors', two([0, 2], [4, 8], 8), /hole/],
    ['a hole before the first tensor', two([2, 4], [4, 8], 8), /hole/],
    ['a shape of another size', oneTensor({ shape: [3] }), /not that of its shape/],
    ['a negative dimension', oneTensor({ shape: [-2] }), /broken shape/],
    ['two negative dimensions', oneTensor({ shape: [-1, -2] }), /broken shape/],
    ['a fractional dimension', oneTensor({ shape: [0.5, 4] }), /broken shape/],
    ['a shape that is text', oneTensor({ shape: '2' }), /broken shape/],
    [
      'a product that overflows',
      oneTensor({ shape: [F32_MAX, F32_MAX, 2] }),
      /not that of its shape/,
    ],
    [
      'a product that wraps to the right size',
      oneTensor({ shape: [2 ** 32, 2 ** 32, 2] }),
      /not that of its shape/,
    ],
    ['part of a byte', oneTensor({ dtype: 'F4', shape: [15] }), /not that of its shape/],
    ['another dtype than the bytes', oneTensor({ dtype: 'BF16' }), /not that of its shape/],
    ['a dtype that does not exist', oneTensor({ dtype: 'F31' }), /element type/],
    ['a dtype that is a number', oneTensor({ dtype: 32 }), /element type/],
    ['an entry that is no object', safetensorsFile('{"a":3}'), /no object/],
    ['metadata with numbers', safetensorsFile('{"__metadata__":{"a":1}}'), /metadata/],
    [
      'a name that occurs twice',
      safetensorsFile(
        '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        new Uint8Array(4),
      ),
      /"a" occurs twice/,
    ],
    [
      'a name that occurs twice, once escaped',
      safetensorsFile(
        '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      ),
      /"a" occurs twice/,
    ],
    [
      'an entry that gives its dtype twice',
      safetensorsFile(
        '{"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}',
        new Uint8Array(4),
      ),
      /"dtype" occurs twice/,
    ],
  ]

  test.each(cases)('%s', async (_, bytes, message) => {
    await expect(read(bytes)).rejects.toMatchObject({
      code: 'bad_checkpoint',
      message: expect.stringMatching(message) as string,
      context: { file: expect.stringContaining('model.safetensors') as string },
    })
  })

  test('a folder in place of a file', async () => {
    await expect(readSafetensorsHeader(await tempFolder())).rejects.toMatchObject({
      code: 'bad_checkpoint',
    })
  })

  test('a file that is not there', async () => {
    const file = join(await tempFolder(), 'none.safetensors')
    await expect(readSafetensorsHeader(file)).rejects.toMatchObject({ code: 'not_found' })
  })
})
