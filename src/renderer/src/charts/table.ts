import { formatValue } from '../lib/numbers'

export type Cell = string | number | null

/** A chart's numbers as a table: what is shown instead of it, and what is exported. */
export interface TableData {
  readonly columns: readonly { readonly label: string; readonly isNumeric?: boolean }[]
  readonly rows: readonly (readonly Cell[])[]
}

/** RFC 4180, numbers in full precision, empty for what is not known. */
export function toCsv({ columns, rows }: TableData): string {
  const lines = [columns.map(({ label }) => label), ...rows]
  return `${lines.map((line) => line.map(csvCell).join(',')).join('\r\n')}\r\n`
}

function csvCell(cell: Cell): string {
  if (cell === null) return ''
  // A text that a spreadsheet would take for a formula is data all the same.
  const text = typeof cell === 'string' && /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : String(cell)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** GitHub's table syntax; numbers as people read them. */
export function toMarkdown({ columns, rows }: TableData): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const heads = columns.map(({ label }) => markdownCell(label))
  const rule = columns.map(({ isNumeric }) => (isNumeric ? '--:' : '---'))
  const body = rows.map((row) => line(row.map((cell) => markdownCell(displayCell(cell)))))
  return `${[line(heads), line(rule), ...body].join('\n')}\n`
}

function markdownCell(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('|', '\\|')
    .replaceAll(/\s*\n\s*/g, ' ')
}

/** A cell as it is shown. */
export function displayCell(cell: Cell): string {
  if (cell === null) return '–'
  if (typeof cell === 'string') return cell
  return Number.isInteger(cell) ? cell.toLocaleString('en') : formatValue(cell)
}
