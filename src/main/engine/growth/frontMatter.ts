/** @file The YAML block at the head of a model card: its flat fields are read, and one is written. */
import type { Architecture } from '../architectures/Architecture'

/** Texts, and lists of texts. */
export type Fields = Readonly<Record<string, string | readonly string[]>>

/** What hubs list a model under. */
export type PipelineTag = 'text-generation' | 'image-text-to-text'

export function pipelineTagOf({ wrapping }: Pick<Architecture, 'wrapping'>): PipelineTag {
  return wrapping === null ? 'text-generation' : 'image-text-to-text'
}

/**
 * The fields of a card's head whose values are plain or quoted texts, or lists of them. Others (nested, folded over
 * lines) are passed over: this is no YAML reader, and a field that is not understood is not taken over.
 */
export function readFrontMatter(card: string): Fields {
  const lines = card.replace(/^\uFEFF/, '').split(/\r?\n/)
  if (lines[0]?.trim() !== '---') return {}
  const end = lines.findIndex((line, index) => index > 0 && /^(?:---|\.\.\.)\s*$/.test(line))
  const fields: Record<string, string | string[]> = {}
  let list: string[] | null = null
  for (const line of lines.slice(1, Math.max(end, 1))) {
    const item = /^\s*-\s+(.*)$/.exec(line)?.[1]
    if (item !== undefined) {
      const value = scalarOf(item)
      if (list && value !== null) list.push(value)
      continue
    }
    if (/^\s|^#|^$/.test(line)) continue
    list = null
    const match = /^([A-Za-z_][\w-]*):(?:\s+(.*))?$/.exec(line)
    if (!match?.[1]) continue
    const [, key, rest = ''] = match
    const text = rest.trim()
    if (text === '' || text.startsWith('#')) {
      list = []
      fields[key] = list
    } else if (/^\[.*\]$/.test(text)) {
      const items = text.slice(1, -1).split(',')
      fields[key] = items.flatMap((each) => scalarOf(each) ?? [])
    } else {
      const value = scalarOf(text)
      if (value !== null) fields[key] = value
    }
  }
  return fields
}

/** The text of a plain or quoted scalar; `null` for what is none. */
function scalarOf(source: string): string | null {
  const text = source.trim()
  if (text.startsWith('"')) {
    const quoted = /^"(?:[^"\\]|\\.)*"/.exec(text)?.[0]
    try {
      return quoted === undefined ? null : (JSON.parse(quoted) as string)
    } catch {
      return null
    }
  }
  if (text.startsWith("'")) {
    const quoted = /^'((?:[^']|'')*)'/.exec(text)?.[1]
    return quoted?.replaceAll("''", "'") ?? null
  }
  const plain = text.replace(/\s+#.*$/, '')
  return plain === '' || /^[[\]{}&*!|>%@`]|:\s|:$/.test(plain) ? null : plain
}

/** Words that YAML 1.1 or 1.2 takes for something else than a text; `no` is also Norwegian. */
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null|nan|inf)$/i

/** The block with its fences; lists of nothing and empty texts are left out. */
export function writeFrontMatter(fields: Fields): string {
  const lines = Object.entries(fields).flatMap(([key, value]) => {
    if (typeof value !== 'string') {
      return value.length === 0 ? [] : [`${key}:`, ...value.map((each) => `- ${quoted(each)}`)]
    }
    return value === '' ? [] : [`${key}: ${quoted(value)}`]
  })
  return ['---', ...lines, '---'].join('\n')
}

/** Plain where every reader agrees on it, else in double quotes, whose escapes are JSON's. */
function quoted(text: string): string {
  if (/^[A-Za-z][A-Za-z0-9_./-]*$/.test(text) && !WORDS.test(text)) return text
  return JSON.stringify(wellFormed(text)).replace(
    // What JSON leaves as it is and YAML does not allow, or reads as the end of a line.

    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Half a character, which no file can hold, becomes the mark for what cannot be shown. */
function wellFormed(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8')
}
