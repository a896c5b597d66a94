/** Nesting that no checkpoint file needs; guards against files made to exhaust memory. */
const MAX_DEPTH = 32

/**
 * Values of one file, and the lists and objects around them: some 250,000 tensors, beyond any model. A file within the
 * format's size limit could hold enough tiny ones to need gigabytes of memory.
 */
const MAX_PARTS = 2_000_000

/** What is wrong with a JSON text, without saying which file it came from. */
export class JsonProblem extends Error {
  override readonly name = 'JsonProblem'
}

/** A number as the file spells it, by the keys and indices that lead to it. */
type NumberVisitor = (path: readonly (string | number)[], literal: string) => void

/**
 * `JSON.parse` that refuses what it would hide or choke on: keys that occur twice in one object, nesting beyond
 * {@link MAX_DEPTH}, more than {@link MAX_PARTS} values and bytes that are not UTF-8.
 *
 * @throws JsonProblem
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes)
  scanJson(text)
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new JsonProblem(error instanceof Error ? error.message : 'not JSON', { cause: error })
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw new JsonProblem('not UTF-8 text', { cause: error })
  }
}

interface Frame {
  /** Keys seen so far; `null` in an array. */
  readonly keys: Set<string> | null
  /** Where in it we are. */
  at: string | number
}

/**
 * Walks a JSON text once. It does not judge the syntax (`JSON.parse` does), only keys, depth and number.
 *
 * @throws JsonProblem for a repeated key, too deep nesting or too many values.
 */
function scanJson(text: string, onNumber?: NumberVisitor): void {
  const frames: Frame[] = []
  let frame: Frame | undefined
  let expectKey = false
  let parts = 0
  const count = () => {
    parts += 1
    if (parts > MAX_PARTS) throw new JsonProblem(`more than ${MAX_PARTS} values`)
  }
  for (let index = 0; index < text.length; index += 1) {
    const char = text.charCodeAt(index)
    switch (char) {
      case 0x7b: // {
      case 0x5b: // [
        count()
        if (frames.length >= MAX_DEPTH) throw new JsonProblem(`nested more than ${MAX_DEPTH} deep`)
        frame = char === 0x7b ? { keys: new Set(), at: '' } : { keys: null, at: 0 }
        frames.push(frame)
        expectKey = char === 0x7b
        break
      case 0x7d: // }
      case 0x5d: // ]
        frames.pop()
        frame = frames.at(-1)
        expectKey = false
        break
      case 0x2c: // ,
        count()
        if (frame?.keys) expectKey = true
        else if (frame) frame.at = Number(frame.at) + 1
        break
      case 0x22: {
        const end = endOfString(text, index)
        if (expectKey && frame?.keys) {
          const key = unquote(text.slice(index, end + 1))
          if (frame.keys.has(key))
            throw new JsonProblem(`the name "${key.slice(0, 200)}" occurs twice`)
          frame.keys.add(key)
          frame.at = key
          expectKey = false
        }
        index = end
        break
      }
      default:
        if (onNumber && (char === 0x2d || (char >= 0x30 && char <= 0x39))) {
          const literal = /[-+.eE\d]+/y
          literal.lastIndex = index
          const found = literal.exec(text)?.[0] ?? ''
          onNumber(
            frames.map((each) => each.at),
            found,
          )
          index += found.length - 1
        }
    }
  }
}

/** Index of the closing quote; the end of the text when there is none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes += 1
    if (backslashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}

function unquote(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1)
  try {
    return JSON.parse(quoted) as string
  } catch (error) {
    throw new JsonProblem(`the name ${quoted.slice(0, 200)} is not a JSON string`, { cause: error })
  }
}

/**
 * Indented JSON (two spaces, newline at the end) that spells every unchanged number as the source text does. JavaScript
 * would turn `8.0` into `8`, and loaders tell the two apart.
 */
export function stringifyLike(value: unknown, source: Uint8Array): string {
  const literals = new Map<string, string>()
  scanJson(decodeUtf8(source), (path, literal) => {
    literals.set(JSON.stringify(path), literal)
  })
  return `${write(value, [], literals)}\n`
}

function write(
  value: unknown,
  path: readonly (string | number)[],
  literals: ReadonlyMap<string, string>,
): string {
  const indent = '  '.repeat(path.length)
  if (typeof value === 'number') {
    const literal = literals.get(JSON.stringify(path))
    return literal !== undefined && Number(literal) === value ? literal : JSON.stringify(value)
  }
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    const items = value.map(
      (item, index) => `${indent}  ${write(item, [...path, index], literals)}`,
    )
    return `[\n${items.join(',\n')}\n${indent}]`
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    if (entries.length === 0) return '{}'
    const items = entries.map(
      ([key, item]) =>
        `${indent}  ${JSON.stringify(key)}: ${write(item, [...path, key], literals)}`,
    )
    return `{\n${items.join(',\n')}\n${indent}}`
  }
  return JSON.stringify(value) ?? 'null'
}
