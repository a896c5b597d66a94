import { describe, expect, it } from 'vitest'
import { toCsv, toMarkdown, type TableData } from '../../../src/renderer/src/charts/table'

const data = (...rows: TableData['rows']): TableData => ({
  columns: [{ label: 'name' }, { label: 'value', isNumeric: true }],
  rows,
})

describe('as CSV', () => {
  it('keeps every digit', () => {
    expect(toCsv(data(['a', 0.1234567890123456]))).toBe('name,value\r\na,0.1234567890123456\r\n')
  })

  it('quotes what would break a line into other cells', () => {
    expect(toCsv(data(['a,"b"\nc', null]))).toBe('name,value\r\n"a,""b""\nc",\r\n')
  })

  it('hands a spreadsheet no formula', () => {
    expect(toCsv(data(['=1+1', -3]))).toBe("name,value\r\n'=1+1,-3\r\n")
  })
})

describe('as Markdown', () => {
  it('aligns numbers to the right and shows what is not known as a dash', () => {
    expect(toMarkdown(data(['a', 0.12345], ['b', null]))).toBe(
      '| name | value |\n| --- | --: |\n| a | 0.123 |\n| b | – |\n',
    )
  })

  it('keeps bars and line breaks within their cell', () => {
    expect(toMarkdown(data(['a|b\nc', 1000]))).toContain('| a\\|b c | 1,000 |')
  })
})
