/** @file UTF-8 as the encoding demands it: what is none is found, and not replaced. */
import { isUtf8 } from 'node:buffer'

const REPLACEMENT = '\ufffd'
const REPLACEMENT_BYTES = Buffer.from(REPLACEMENT)

/** Bytes that are not UTF-8. */
export class InvalidUtf8 extends Error {
  /** @param at Which byte is the first of them. */
  constructor(readonly at: number) {
    super(`not UTF-8 from byte ${at} on`)
  }
}

/** @throws InvalidUtf8 */
export function decodeUtf8(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isUtf8(buffer)) return buffer.toString()
  throw new InvalidUtf8(firstInvalid(buffer))
}

/** The decoder puts a replacement character for what is invalid; one that the bytes themselves spell is none of these. */
function firstInvalid(bytes: Buffer): number {
  const text = bytes.toString()
  let [from, at] = [0, 0]
  for (;;) {
    const found = text.indexOf(REPLACEMENT, from)
    at += Buffer.byteLength(text.slice(from, found))
    if (!bytes.subarray(at, at + REPLACEMENT_BYTES.length).equals(REPLACEMENT_BYTES)) return at
    at += REPLACEMENT_BYTES.length
    from = found + 1
  }
}

/** Bytes at the end that begin a character whose other bytes are still to come: 0 to 3. */
export function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back]!
    if (byte < 0x80) return 0
    if (byte < 0xc0) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return length > back ? back : 0
  }
  return 0
}
