import { expect, test } from 'vitest'
import { JoinedTokens } from '../../../../src/main/engine/corpus/joinedTokens'

const piece = (file: number, ends = true) => ({ file, ends, text: '', readBytes: 0 })
const ids = (...values: number[]) => Int32Array.from(values)

test('the end-of-text token stands after documents that have tokens, not within them', () => {
  const joined = new JoinedTokens(2, 9)
  const first = joined.add([piece(0), piece(0), piece(1, false)], [ids(1, 2), ids(), ids(3)])
  // A piece at the end of a document may be without tokens.
  const second = joined.add([piece(1, false), piece(1), piece(1)], [ids(4), ids(), ids(5)])
  expect([[...first], [...second]]).toEqual([
    [1, 2, 9, 3],
    [4, 9, 5, 9],
  ])
  expect(joined.facts(['a remark'])).toEqual({
    tokens: 8,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
    largestId: 9,
    files: [
      { documents: 1, tokens: 3, empty: 1, cut: false },
      { documents: 2, tokens: 5, empty: 0, cut: true },
    ],
    remarks: ['a remark'],
  })
})

test('without such a token nothing stands between documents', () => {
  const joined = new JoinedTokens(1, null)
  expect([...joined.add([piece(0), piece(0)], [ids(1), ids(2)])]).toEqual([1, 2])
  expect(joined.documents).toBe(2)
})

test('the digest is of all tokens, however they came', () => {
  const digest = (...calls: number[][]): string => {
    const joined = new JoinedTokens(1, null)
    for (const each of calls) joined.add([piece(0)], [ids(...each)])
    return joined.facts([]).sha256
  }
  expect(digest([1, 2], [3])).toBe(digest([1], [2, 3]))
  expect(digest([1, 2], [3])).not.toBe(digest([1, 2], [4]))
})
