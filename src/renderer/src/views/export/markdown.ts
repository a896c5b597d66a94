/** A piece of a line. */
export type Inline =
  | { readonly kind: 'text' | 'code' | 'strong' | 'em'; readonly text: string }
  | { readonly kind: 'link'; readonly text: string; readonly href: string }

/** A block of a document. */
export type Block =
  /** YAML between two lines of dashes at the start. */
  | { readonly kind: 'frontMatter' | 'code'; readonly text: string }
  | { readonly kind: 'heading'; readonly level: number; readonly content: readonly Inline[] }
  | { readonly kind: 'paragraph'; readonly content: readonly Inline[] }
  | {
      readonly kind: 'list'
      readonly isOrdered: boolean
      readonly items: readonly (readonly Inline[])[]
    }
  | {
      readonly kind: 'table'
      readonly head: readonly (readonly Inline[])[]
      readonly rows: readonly (readonly (readonly Inline[])[])[]
    }

const HEADING = /^(#{1,6})\s+(.*)$/
const BULLET = /^\s*[-*+]\s+(.*)$/
const NUMBERED = /^\s*\d+[.)]\s+(.*)$/
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/

/**
 * Reads as much of Markdown as model cards are written in: front matter, headings, paragraphs, lists, tables, code and
 * links. Everything else is text; HTML is never taken as such.
 */
export function parseMarkdown(source: string): Block[] {
  const lines = source.replaceAll('\r\n', '\n').split('\n')
  const blocks: Block[] = []
  let at = 0
  if (lines[0]?.trim() === '---') {
    const end = lines.indexOf('---', 1)
    if (end > 0) {
      blocks.push({ kind: 'frontMatter', text: lines.slice(1, end).join('\n') })
      at = end + 1
    }
  }
  while (at < lines.length) {
    const line = lines[at] ?? ''
    const heading = HEADING.exec(line)
    if (line.trim() === '') {
      at += 1
    } else if (line.startsWith('```')) {
      const end = lines.findIndex((other, index) => index > at && other.startsWith('```'))
      const stop = end < 0 ? lines.length : end
      blocks.push({ kind: 'code', text: lines.slice(at + 1, stop).join('\n') })
      at = stop + 1
    } else if (heading) {
      const [, marks = '', text = ''] = heading
      blocks.push({ kind: 'heading', level: marks.length, content: parseInline(text) })
      at += 1
    } else if (line.includes('|') && TABLE_RULE.test(lines[at + 1] ?? '')) {
      const end = lastOf(lines, at + 2, (other) => other.includes('|'))
      blocks.push({
        kind: 'table',
        head: cellsOf(line),
        rows: lines.slice(at + 2, end).map(cellsOf),
      })
      at = end
    } else if (BULLET.test(line) || NUMBERED.test(line)) {
      const isOrdered = !BULLET.test(line)
      const pattern = isOrdered ? NUMBERED : BULLET
      const items: string[] = []
      while (at < lines.length) {
        const text = lines[at] ?? ''
        const item = pattern.exec(text)
        if (item) items.push(item[1] ?? '')
        // A line that is set in belongs to the item before it.
        else if (/^\s+\S/.test(text) && items.length > 0)
          items.push(`${items.pop()} ${text.trim()}`)
        else break
        at += 1
      }
      blocks.push({ kind: 'list', isOrdered, items: items.map(parseInline) })
    } else {
      const end = lastOf(
        lines,
        at + 1,
        (other) =>
          other.trim() !== '' &&
          !HEADING.test(other) &&
          !BULLET.test(other) &&
          !NUMBERED.test(other) &&
          !other.startsWith('```'),
      )
      const text = lines.slice(at, end).join(' ')
      blocks.push({ kind: 'paragraph', content: parseInline(text) })
      at = end
    }
  }
  return blocks
}

/** The index after the last line from `start` that still belongs. */
function lastOf(
  lines: readonly string[],
  start: number,
  belongs: (line: string) => boolean,
): number {
  let at = start
  while (at < lines.length && belongs(lines[at] ?? '')) at += 1
  return at
}

function cellsOf(line: string): Inline[][] {
  return line
    .trim()
    .replace(/^\|/, '')
    .replace(/(?<!\\)\|$/, '')
    .split(/(?<!\\)\|/)
    .map((cell) => parseInline(cell.trim().replaceAll('\\|', '|')))
}

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]*)\]\(([^)\s]+)\)/g

function parseInline(text: string): Inline[] {
  const pieces: Inline[] = []
  let end = 0
  for (const match of text.matchAll(INLINE)) {
    if (match.index > end) pieces.push({ kind: 'text', text: text.slice(end, match.index) })
    const [whole, code, strong, em, label, href] = match
    if (code !== undefined) pieces.push({ kind: 'code', text: code })
    else if (strong !== undefined) pieces.push({ kind: 'strong', text: strong })
    else if (em !== undefined) pieces.push({ kind: 'em', text: em })
    else if (label !== undefined && href !== undefined) pieces.push(linkOf(label, href))
    end = match.index + whole.length
  }
  if (end < text.length) pieces.push({ kind: 'text', text: text.slice(end) })
  return pieces
}

/** Only the web's own addresses become links. */
function linkOf(text: string, href: string): Inline {
  return /^https:\/\//i.test(href) ? { kind: 'link', text, href } : { kind: 'text', text }
}
