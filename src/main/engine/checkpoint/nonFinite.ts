import type { TensorDtype } from '@shared/jobs'

/** Exponent bits, their lowest, and the sign bits, of the one or two elements in 32 bits. */
const BITS: Readonly<
  Record<TensorDtype, readonly [exponent: number, lowest: number, sign: number]>
> = {
  F32: [0x7f80_0000, 0x0080_0000, 0x8000_0000 | 0],
  BF16: [0x7f80_7f80, 0x0080_0080, 0x8000_8000 | 0],
  F16: [0x7c00_7c00, 0x0400_0400, 0x8000_8000 | 0],
}

/** Whether one of the stored elements is NaN or an infinity; a few gigabytes a second, so that copies can afford it. */
export function holdsNonFinite(bytes: Uint8Array, dtype: TensorDtype): boolean {
  const words = wordsOf(bytes)
  const [exponent, lowest, sign] = BITS[dtype]
  let seen = 0
  for (let index = 0; index < words.length; index += 1) {
    // All exponent bits are set: one more carries into the place of the sign, which was cleared.
    seen |= ((words[index]! & exponent) + lowest) | 0
  }
  return (seen & sign) !== 0
}

function wordsOf(bytes: Uint8Array): Int32Array {
  const isAligned = bytes.byteOffset % 4 === 0 && bytes.byteLength % 4 === 0
  if (isAligned) return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  // What is added is zero.
  const copy = new Int32Array(Math.ceil(bytes.byteLength / 4))
  new Uint8Array(copy.buffer).set(bytes)
  return copy
}
