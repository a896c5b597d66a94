import { describe, expect, test } from 'vitest'
import {
  JsonProblem,
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

describe('stringifyLike', () => {
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
