import { describe, expect, test } from 'vitest'
import {
  bitsPerElement,
  decodeToFloat32,
  encodeFromFloat32,
  isTensorDtype,
} from '../../../../src/main/engine/checkpoint/dtypes'
import { seededFloats } from '../../../support/random'

/** All 65536 patterns as little-endian bytes. */
const everyHalf = new Uint8Array(Uint16Array.from({ length: 0x1_0000 }, (_, half) => half).buffer)

/** float16 by its definition. */
function f16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

function halves(bytes: Uint8Array): number[] {
  return [...new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)]
}

function encodeOne(value: number, dtype: 'BF16' | 'F16'): number {
  return halves(encodeFromFloat32(new Float32Array([value]), dtype))[0] ?? -1
}

describe('decodeToFloat32', () => {
  test('gives every float16 its value', () => {
    const values = decodeToFloat32(everyHalf, 'F16')
    const wrong = [...values].findIndex((value, half) => !Object.is(value, f16Value(half)))
    expect(wrong).toBe(-1)
  })

  test('places bfloat16 in the upper half of a float32', () => {
    const values = decodeToFloat32(everyHalf, 'BF16')
    const bits = new Uint32Array(values.buffer)
    expect(bits.findIndex((value, half) => value !== (half << 16) >>> 0)).toBe(-1)
  })

  test.each(['BF16', 'F16', 'F32'] as const)('reads %s from an odd address', (dtype) => {
    const bytes = encodeFromFloat32(new Float32Array([1.5, -2, 0.25]), dtype)
    const shifted = new Uint8Array(bytes.byteLength + 1)
    shifted.set(bytes, 1)
    expect([...decodeToFloat32(shifted.subarray(1), dtype)]).toEqual([1.5, -2, 0.25])
  })

  test('fills the start of a given array and returns just that part', () => {
    const into = new Float32Array(4).fill(9)
    const bytes = encodeFromFloat32(new Float32Array([1, 2]), 'BF16')
    expect([...decodeToFloat32(bytes, 'BF16', into)]).toEqual([1, 2])
    expect([...into]).toEqual([1, 2, 9, 9])
  })

  test('refuses half an element and too small a target', () => {
    expect(() => decodeToFloat32(new Uint8Array(3), 'F16')).toThrow(RangeError)
    expect(() => decodeToFloat32(new Uint8Array(8), 'F16', new Float32Array(3))).toThrow(RangeError)
  })
})

describe('encodeFromFloat32', () => {
  test.each(['BF16', 'F16'] as const)('returns every %s pattern unchanged, NaN as NaN', (dtype) => {
    const values = decodeToFloat32(everyHalf, dtype)
    const back = halves(encodeFromFloat32(values, dtype))
    const wrong = back.findIndex((half, index) => {
      if (!Number.isNaN(values[index])) return half !== index
      return !Number.isNaN(decodeToFloat32(new Uint8Array(Uint16Array.of(half).buffer), dtype)[0])
    })
    expect(wrong).toBe(-1)
  })

  test.each(['BF16', 'F16'] as const)('rounds to the nearest %s, ties to even', (dtype) => {
    const finite = dtype === 'F16' ? 0x7c00 : 0x7f80
    const values = decodeToFloat32(everyHalf, dtype)
    // Neighbours from subnormals to the largest finite number; their midpoint is exact in float32 or double.
    for (let half = 0; half + 1 < finite; half += dtype === 'F16' ? 1 : 7) {
      const low = values[half] ?? NaN
      const high = values[half + 1] ?? NaN
      const middle = Math.fround(low / 2 + high / 2)
      if (middle - low === high - middle) {
        expect(encodeOne(middle, dtype)).toBe(half % 2 === 0 ? half : half + 1)
      }
      expect(encodeOne(low + (high - low) * 0.375, dtype)).toBe(half)
      expect(encodeOne(low + (high - low) * 0.75, dtype)).toBe(half + 1)
      expect(encodeOne(-(low + (high - low) * 0.75), dtype)).toBe(0x8000 + half + 1)
    }
  })

  test('overflows to infinity exactly where rounding does', () => {
    expect(encodeOne(65519.996, 'F16')).toBe(0x7bff)
    expect(encodeOne(65520, 'F16')).toBe(0x7c00)
    expect(encodeOne(-1e30, 'F16')).toBe(0xfc00)
    expect(encodeOne(3.4028234e38, 'BF16')).toBe(0x7f80)
  })

  test('underflows to a zero that keeps its sign', () => {
    expect(encodeOne(2 ** -25, 'F16')).toBe(0)
    expect(encodeOne(-(2 ** -26), 'F16')).toBe(0x8000)
    expect(encodeOne(2 ** -25 * 1.0001, 'F16')).toBe(1)
  })

  test('keeps a NaN whose payload lies only in the bits that fall away', () => {
    const nan = new Float32Array(Uint32Array.of(0x7f80_0001, 0xff80_0001).buffer)
    for (const dtype of ['BF16', 'F16'] as const) {
      const values = decodeToFloat32(encodeFromFloat32(nan, dtype), dtype)
      expect([...values].every((value) => Number.isNaN(value))).toBe(true)
    }
  })

  test('copies float32 bit for bit', () => {
    const values = seededFloats(100, 3)
    expect(decodeToFloat32(encodeFromFloat32(values, 'F32'), 'F32')).toEqual(values)
  })
})

test('knows the format’s element types and which of them are read as floats', () => {
  expect([bitsPerElement('F64'), bitsPerElement('F4'), bitsPerElement('BOOL')]).toEqual([64, 4, 8])
  expect([bitsPerElement('F7'), bitsPerElement('toString')]).toEqual([null, null])
  expect(['BF16', 'F16', 'F32', 'F64', 'I8'].map(isTensorDtype)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ])
})
