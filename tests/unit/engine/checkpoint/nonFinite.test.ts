import { describe, expect, test } from 'vitest'
import { holdsNonFinite } from '../../../../src/main/engine/checkpoint/nonFinite'
import { decodeToFloat32 } from '../../../../src/main/engine/checkpoint/dtypes'

describe.each(['BF16', 'F16'] as const)('%s', (dtype) => {
  test('every pattern is judged as its value is, wherever it lies', () => {
    const bytes = new Uint8Array(10)
    const view = new DataView(bytes.buffer)
    for (let pattern = 0; pattern < 0x1_0000; pattern += 1) {
      const place = 2 * (pattern % 4)
      view.setUint16(place, pattern, true)
      const [value = 0] = decodeToFloat32(bytes.slice(place, place + 2), dtype)
      const expected = !Number.isFinite(value)
      if (holdsNonFinite(bytes, dtype) !== expected) expect({ pattern, expected }).toBe('agreed')
      if (holdsNonFinite(bytes.subarray(place, place + 2), dtype) !== expected) {
        expect({ pattern, expected }).toBe('agreed, unaligned')
      }
      view.setUint16(place, 0)
    }
  })
})

test.each([
  [NaN, true],
  [-NaN, true],
  [Infinity, true],
  [-Infinity, true],
  [3.4028234663852886e38, false],
  [-1e-45, false],
  [0, false],
])('F32 %f: %s', (value, expected) => {
  const bytes = new Uint8Array(Float32Array.of(1, value, 2).buffer)
  expect(holdsNonFinite(bytes, 'F32')).toBe(expected)
})
