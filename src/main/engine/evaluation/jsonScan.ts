const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d]

const DROPOUT = Buffer.from('dropout')

/** Where `model.dropout` lies in a tokenizer: it has no other object of that depth with such a key. */
const DROPOUT_DEPTH = 2

/**
 * Walks JSON once, without building it. `parts` counts values, lists and objects, up to one more than `maxParts`; `deepest` their nesting;
 * `dropout` is where the number of `model.dropout` stands, `null` when it is none above zero. It does not judge the
 * syntax.
 */
export function scanJson(
  bytes: Uint8Array,
  maxParts: number,
): {
  readonly parts: number
  readonly deepest: number
  readonly dropout: readonly [number, number] | null
} {
  let parts = 0
  let depth = 0
  let deepest = 0
  let dropout: readonly [number, number] | null = null
  for (let index = 0; index < bytes.length && parts <= maxParts; index += 1) {
    const byte = bytes[index] ?? 0
    if (byte === QUOTE) {
      const end = endOfString(bytes, index)
      if (depth === DROPOUT_DEPTH && DROPOUT.equals(bytes.subarray(index + 1, end))) {
        dropout ??= numberAfter(bytes, end + 1)
      }
      index = end
    } else if (byte === COMMA) {
      parts += 1
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      parts += 1
      depth += 1
      deepest = Math.max(deepest, depth)
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      depth -= 1
    }
  }
  return { parts, deepest, dropout }
}

/** The place of a string's closing quote, or of the text's end. */
function endOfString(bytes: Uint8Array, start: number): number {
  let index = start + 1
  while (index < bytes.length && bytes[index] !== QUOTE) {
    index += bytes[index] === BACKSLASH ? 2 : 1
  }
  return index
}

/** Where the number above zero that follows a key's colon lies. */
function numberAfter(bytes: Uint8Array, start: number): readonly [number, number] | null {
  // More blanks than anyone writes.
  const rest = Buffer.from(bytes.subarray(start, start + 100)).toString('latin1')
  const found = /^(\s*:\s*)([-+.\deE]+)/.exec(rest)
  if (rest.trimStart().charCodeAt(0) !== COLON || !found?.[1] || !found[2]) return null
  const at = start + found[1].length
  return Number(found[2]) > 0 ? [at, at + found[2].length] : null
}
