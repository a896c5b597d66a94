import { fewOf, shown } from '@shared/text'

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

/** What a walk through a JSON text tells of. */
interface Visitor {
  /** A number as the file spells it, by the keys and indices that lead to it. */
  readonly onNumber?: (path: readonly (string | number)[], literal: string) => void
  /** A key that its object has already; without this it is an error. */
  readonly onRepeated?: (key: string) => void
  /** `NaN`, `Infinity` or `-Infinity`, which Python writes and reads and JSON does not have. */
  readonly onNonFinite?: (start: number, literal: string) => void
}

/** A JSON text as Python reads it, and what had to be overlooked, a sentence each without its subject. */
export interface LenientJson {
  readonly value: unknown
  readonly remarks: readonly string[]
}

/**
 * `JSON.parse` that refuses what it would hide or choke on: keys that occur twice in one object, nesting beyond
 * {@link MAX_DEPTH}, more than {@link MAX_PARTS} values and bytes that are not UTF-8.
 *
 * @throws JsonProblem
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes)
  scanJson(text)
  return parse(text)
}

/**
 * Reads what people and Python's `json` write as JSON: of a repeated key the last value counts, `NaN` and infinities are
 * numbers, and a byte-order mark is skipped. The limits of {@link parseStrictJson} hold.
 *
 * @throws JsonProblem
 */
export function parseLenientJson(bytes: Uint8Array): LenientJson {
  const { text, hasMark } = withoutMark(decodeUtf8(bytes))
  const repeated = new Set<string>()
  const nonFinite: { readonly start: number; readonly literal: string }[] = []
  scanJson(text, {
    onRepeated: (key) => repeated.add(key),
    onNonFinite: (start, literal) => nonFinite.push({ start, literal }),
  })
  const remarks = [
    ...(hasMark
      ? ['begins with a byte-order mark, which other readers refuse; it is skipped']
      : []),
    ...(repeated.size > 0
      ? [`says ${fewOf([...repeated])} more than once in one place; the last one counts`]
      : []),
    ...(nonFinite.length > 0
      ? [
          `holds ${fewOf([...new Set(nonFinite.map(({ literal }) => literal))])}, which is no JSON; it is read as Python does`,
        ]
      : []),
  ]
  if (nonFinite.length === 0) return { value: parse(text), remarks }
  // JSON spells infinities by numbers beyond all, and has nothing for NaN.
  const parts: string[] = []
  let end = 0
  for (const { start, literal } of nonFinite) {
    parts.push(text.slice(end, start), SPELLED[literal] ?? literal)
    end = start + literal.length
  }
  return { value: withNaN(parse(parts.join('') + text.slice(end))), remarks }
}

const NAN_MARK = '\u0000NaN'
const SPELLED: Readonly<Record<string, string>> = {
  NaN: JSON.stringify(NAN_MARK),
  Infinity: '1e999',
  '-Infinity': '-1e999',
}

function withNaN(value: unknown): unknown {
  if (value === NAN_MARK) return Number.NaN
  if (Array.isArray(value)) return value.map(withNaN)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withNaN(item)]))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new JsonProblem(error instanceof Error ? error.message : 'not JSON', { cause: error })
  }
}

function withoutMark(text: string): { readonly text: string; readonly hasMark: boolean } {
  const hasMark = text.startsWith('\ufeff')
  return { text: hasMark ? text.slice(1) : text, hasMark }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    const isUtf16 =
      (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
    const what = isUtf16 ? 'UTF-16 text; save it as UTF-8' : 'not UTF-8 text'
    throw new JsonProblem(what, { cause: error })
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
function scanJson(text: string, { onNumber, onRepeated, onNonFinite }: Visitor = {}): void {
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
          if (frame.keys.has(key)) {
            if (!onRepeated) throw new JsonProblem(`the name "${shown(key)}" occurs twice`)
            onRepeated(key)
          }
          frame.keys.add(key)
          frame.at = key
          expectKey = false
        }
        index = end
        break
      }
      case 0x49: // I
      case 0x4e: {
        const literal = expectKey ? null : nonFiniteAt(text, index)
        if (literal === null) break
        onNonFinite?.(index, literal)
        index += literal.length - 1
        break
      }
      default: {
        const literal = char === 0x2d ? nonFiniteAt(text, index) : null
        if (literal !== null) {
          onNonFinite?.(index, literal)
          index += literal.length - 1
          break
        }
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
}

function nonFiniteAt(text: string, index: number): string | null {
  const literal = /NaN|-?Infinity/y
  literal.lastIndex = index
  return literal.exec(text)?.[0] ?? null
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
    throw new JsonProblem(`the name ${shown(quoted)} is not a JSON string`, { cause: error })
  }
}

/**
 * Indented JSON (two spaces, newline at the end) that spells every unchanged number as the source text does. JavaScript
 * would turn `8.0` into `8`, and loaders tell the two apart. What is no finite number is spelled as Python does.
 */
export function stringifyLike(value: unknown, source: Uint8Array): string {
  const literals = new Map<string, string>()
  scanJson(withoutMark(decodeUtf8(source)).text, {
    onNumber: (path, literal) => literals.set(JSON.stringify(path), literal),
    // The last one counts, as it did when the value was read.
    onRepeated: () => undefined,
  })
  return `${write(value, [], literals)}\n`
}

/** JSON on one line, with what is no finite number spelled as Python does. */
export function stringifyPython(value: unknown): string {
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(stringifyPython).join(',')}]`
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${stringifyPython(item)}`).join(',')}}`
}

function write(
  value: unknown,
  path: readonly (string | number)[],
  literals: ReadonlyMap<string, string>,
): string {
  const indent = '  '.repeat(path.length)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return String(value)
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
