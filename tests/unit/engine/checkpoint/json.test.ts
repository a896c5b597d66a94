import { describe, expect, test } from 'vitest'
import {
  JsonProblem,
  parseLenientJson,
  parseStrictJson,
  stringifyLike,
} from '../../../../src/main/engine/checkpoint/json'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('parseStrictJson', () => {
  test('accepts the same names in different objects, and names within strings', () => {
    const text = '[{"a":{"a":"\\"a\\":1,\\"a\\":2"},"b":["a","a"]},{"a":"}{"}]'
    expect(parseStrictJson(bytes(text))).toEqual(JSON.parse(text))
  })

  test.each(['{"a":1,"a":2}', '{"b":{"a":1,"x":{},"a":2}}', '{"a\\\\":1,"a\\\\":2}'])(
    'refuses a repeated name in %s',
    (text) => expect(() => parseStrictJson(bytes(text))).toThrow(JsonProblem),
  )

  test.each(['', '{', '{"a', '{"a\\', '{a:1}', '[1,]', '{"a":1}}', '\u{feff}{}'])(
    'refuses %j',
    (text) => expect(() => parseStrictJson(bytes(text))).toThrow(JsonProblem),
  )
})

test.each(['[],', '0,', '{"a":1},'])('parseStrictJson refuses millions of %j', (part) => {
  const many = `[${part.repeat(2_000_001)}0]`
  expect(() => parseStrictJson(bytes(many))).toThrow(/more than 2000000 values/)
})

describe('parseLenientJson', () => {
  test('reads what Python writes and JSON does not have', () => {
    const { value, remarks } = parseLenientJson(
      bytes(
        '\u{feff}{"a":[NaN,-Infinity,Infinity,"NaN","-Infinity \\" NaN"],"b":1,"b":{"c":NaN,"c":2}}',
      ),
    )
    expect(value).toEqual({
      a: [NaN, -Infinity, Infinity, 'NaN', '-Infinity " NaN'],
      b: { c: 2 },
    })
    expect(remarks).toEqual([
      'begins with a byte-order mark, which other readers refuse; it is skipped',
      'says b, c more than once in one place; the last one counts',
      'holds NaN, -Infinity, Infinity, which is no JSON; it is read as Python does',
    ])
  })

  test('has nothing to say of plain JSON', () => {
    const text = '{"a":{"b":[1,-2.5e3,true,null,"x"]},"c":{"b":1}}'
    expect(parseLenientJson(bytes(text))).toEqual({
      value: JSON.parse(text) as unknown,
      remarks: [],
    })
  })

  test.each([
    '',
    '{',
    '[NaN',
    '{"a":nan}',
    '{"a":infinity}',
    '[+Infinity]',
    '[--Infinity]',
    '[1 NaN]',
    '{NaN:1}',
    '[InfinityX]',
    "{'a':1}",
    '\u{feff}\u{feff}{}',
  ])('refuses %j', (text) => expect(() => parseLenientJson(bytes(text))).toThrow(JsonProblem))

  test.each([
    [0xff, 0xfe],
    [0xfe, 0xff],
  ])('tells UTF-16 by its mark %i %i', (...mark) => {
    expect(() => parseLenientJson(new Uint8Array([...mark, 0x7b, 0, 0x7d, 0]))).toThrow(/UTF-16/)
  })
})

describe('stringifyLike', () => {
  test('spells what is no finite number as Python does, and repeated keys once', () => {
    const source = '{"x":[Infinity,-Infinity,NaN],"n":1.0,"n":2.0}'
    const { value } = parseLenientJson(bytes(source))
    expect(stringifyLike(value, bytes(`\u{feff}${source}`))).toBe(`{
  "x": [
    Infinity,
    -Infinity,
    NaN
  ],
  "n": 2.0
}
`)
  })

  test('spells unchanged numbers as the source does, whatever moved around them', () => {
    const source =
      '{"theta":10000.0,"eps":1e-05,"big":123456789012345678901,"list":[1.0,2.50],"in":{"f":8.0},"n":4,"text":"5.0"}'
    const value = JSON.parse(source) as Record<string, unknown>
    const text = stringifyLike({ ...value, n: 6, added: 1 }, bytes(source))
    expect(text).toBe(`{
  "theta": 10000.0,
  "eps": 1e-05,
  "big": 123456789012345678901,
  "list": [
    1.0,
    2.50
  ],
  "in": {
    "f": 8.0
  },
  "n": 6,
  "text": "5.0",
  "added": 1
}
`)
  })

  test('writes changed values and empty containers as JSON does', () => {
    const text = stringifyLike(
      { a: 2.5, b: [], c: {}, d: null, e: [true, 'x"'] },
      bytes('{"a":2.0}'),
    )
    expect(JSON.parse(text)).toEqual({ a: 2.5, b: [], c: {}, d: null, e: [true, 'x"'] })
  })
})
