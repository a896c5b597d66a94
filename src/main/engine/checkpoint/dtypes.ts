import { TENSOR_DTYPES, type OutputDtype, type TensorDtype } from '@shared/jobs'

const ELEMENT_BITS: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
}

/** Bits of one element of a safetensors dtype, or `null` when the format has no such dtype. */
export function bitsPerElement(dtype: string): number | null {
  return Object.hasOwn(ELEMENT_BITS, dtype) ? (ELEMENT_BITS[dtype] ?? null) : null
}

/** Bytes of one element of a dtype that the engine computes with. */
export function bytesPerElement(dtype: TensorDtype): number {
  return dtype === 'F32' ? 4 : 2
}

/** Whether values of this dtype can be read as floats here. */
export function isTensorDtype(dtype: string): dtype is TensorDtype {
  return (TENSOR_DTYPES as readonly string[]).includes(dtype)
}

// Typed arrays follow the host's byte order, safetensors is little-endian; every platform of the product is too.
const floatView = new Float32Array(1)
const bitsView = new Uint32Array(floatView.buffer)

/** Every float16 bit pattern as the float32 bit pattern of the same value: 256 KiB, made on first use. */
let f16Table: Uint32Array | undefined

function f16ToF32Bits(): Uint32Array {
  if (f16Table) return f16Table
  const table = new Uint32Array(0x1_0000)
  for (let half = 0; half < 0x1_0000; half += 1) {
    const sign = (half & 0x8000) * 0x1_0000
    const exponent = (half >> 10) & 0x1f
    const mantissa = half & 0x3ff
    let magnitude: number
    if (exponent === 0x1f) magnitude = 0x7f80_0000 + mantissa * 0x2000
    else if (exponent !== 0) magnitude = (exponent + 112) * 0x80_0000 + mantissa * 0x2000
    else {
      floatView[0] = mantissa * 2 ** -24
      magnitude = bitsView[0] ?? 0
    }
    table[half] = sign + magnitude
  }
  f16Table = table
  return table
}

/**
 * Decodes little-endian BF16, F16 or F32 bytes; NaN payloads and signed zeros survive.
 *
 * @param into Where the values go (its first elements); a new array by default.
 * @returns A view of exactly the decoded values.
 */
export function decodeToFloat32(
  bytes: Uint8Array,
  dtype: TensorDtype,
  into?: Float32Array,
): Float32Array {
  const size = bytesPerElement(dtype)
  if (bytes.byteLength % size !== 0) throw new RangeError(`${bytes.byteLength} bytes of ${dtype}`)
  const count = bytes.byteLength / size
  if (into && into.length < count) throw new RangeError(`${into.length} places for ${count} values`)
  const values = into ? into.subarray(0, count) : new Float32Array(count)
  if (dtype === 'F32') {
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(bytes)
    return values
  }
  const halves = asUint16(bytes)
  const bits = new Uint32Array(values.buffer, values.byteOffset, count)
  if (dtype === 'BF16') {
    for (let index = 0; index < count; index += 1) bits[index] = (halves[index] as number) << 16
  } else {
    const table = f16ToF32Bits()
    for (let index = 0; index < count; index += 1)
      bits[index] = table[halves[index] as number] as number
  }
  return values
}

function asUint16(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice()
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2)
}

/** Encodes float32 values as little-endian bytes, rounding to nearest even; overflow gives infinity, NaN stays NaN. */
export function encodeFromFloat32(values: Float32Array, dtype: TensorDtype): Uint8Array {
  if (dtype === 'F32') {
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice()
  }
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  if (dtype === 'BF16') encodeBf16(bits, halves)
  else encodeF16(bits, halves)
  return new Uint8Array(halves.buffer)
}

function encodeBf16(bits: Uint32Array, halves: Uint16Array): void {
  for (let index = 0; index < bits.length; index += 1) {
    const value = bits[index] as number
    if ((value & 0x7fff_ffff) > 0x7f80_0000) {
      // Rounding could carry a NaN into infinity; set the quiet bit instead.
      halves[index] = (value >>> 16) | 0x40
    } else {
      halves[index] = (value + 0x7fff + ((value >>> 16) & 1)) >>> 16
    }
  }
}

function encodeF16(bits: Uint32Array, halves: Uint16Array): void {
  for (let index = 0; index < bits.length; index += 1) {
    const value = bits[index] as number
    const sign = (value >>> 16) & 0x8000
    const magnitude = value & 0x7fff_ffff
    let half: number
    if (magnitude >= 0x3880_0000) {
      if (magnitude > 0x7f80_0000) half = 0x7e00 | ((magnitude >>> 13) & 0x3ff)
      // 65520 and above round to infinity.
      else if (magnitude >= 0x477f_f000) half = 0x7c00
      // Normal: rebias the exponent by −112, then round the 13 bits that fall away.
      else half = (magnitude - 0x3800_0000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13
    } else if (magnitude <= 0x3300_0000) {
      // At most 2⁻²⁵, half the smallest subnormal: zero, the tie included.
      half = 0
    } else {
      // Subnormal: shift the full mantissa so that its unit is 2⁻²⁴.
      const shift = 126 - (magnitude >>> 23)
      const mantissa = (magnitude & 0x7f_ffff) | 0x80_0000
      half = mantissa >>> shift
      const rest = mantissa & ((1 << shift) - 1)
      const tie = 1 << (shift - 1)
      if (rest > tie || (rest === tie && (half & 1) === 1)) half += 1
    }
    halves[index] = sign | half
  }
}

/** Narrowest range first. */
const BY_RANGE: readonly TensorDtype[] = ['F16', 'BF16', 'F32']

/**
 * The element type of a tensor of the grown model: the one that was chosen, or else that of the tensors it is made from.
 * Where those differ it is the one that reaches as far as any of them: F32 before BF16 before F16, so that a 16-bit
 * model stays one and no value becomes infinite. What is not a float stays as it is.
 *
 * @param sources Stored types: of the tensor that is copied, or of both neighbours'.
 */
export function newDtype(sources: readonly string[], choice: OutputDtype): string {
  const floats = sources.filter(isTensorDtype)
  if (floats.length < sources.length) return sources.find((each) => !isTensorDtype(each)) ?? ''
  if (choice !== 'keep') return choice.toUpperCase()
  return BY_RANGE.findLast((dtype) => floats.includes(dtype)) ?? ''
}
