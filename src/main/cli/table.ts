import { stripVTControlCharacters } from 'node:util'

export interface Column {
  readonly title: string
  /** Numbers stand right-aligned. */
  readonly align?: 'left' | 'right'
}

/** Lays out rows under their titles, two spaces apart; every line ends with a newline and no trailing blanks. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [columns.map(({ title }) => title), ...rows]
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => width(line[index]))))
  return lines
    .map((line) =>
      columns
        .map(({ align }, index) => {
          const cell = line[index] ?? ''
          const blanks = ' '.repeat((widths[index] ?? 0) - width(cell))
          return align === 'right' ? blanks + cell : cell + blanks
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** Names and values, one pair a line, the values aligned. */
export function formatFields(fields: readonly (readonly [name: string, value: string])[]): string {
  const longest = Math.max(...fields.map(([name]) => name.length))
  return fields.map(([name, value]) => `${name.padEnd(longest)}  ${value}\n`).join('')
}

function width(cell: string | undefined): number {
  return stripVTControlCharacters(cell ?? '').length
}
