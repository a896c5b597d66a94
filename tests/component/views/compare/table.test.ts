import type { Comparison, CompareRow, Perplexity } from '@shared/projects'
import { describe, expect, it } from 'vitest'
import {
  columnsOf,
  documentTable,
  exportTable,
  lowestOf,
  sortRows,
} from '../../../../src/renderer/src/views/compare/table'

const TEXT = 'a'.repeat(16)

function perplexity(subject: string, value: number | null): Perplexity {
  return {
    subject,
    text: TEXT,
    context: 192,
    perLine: false,
    perplexity: value,
    tokens: 100,
    predicted: 99,
    standardError: 0.001,
    seconds: 1,
    device: 'cpu',
    measuredAt: 0,
  }
}

function row(subject: string, changes: Partial<CompareRow> = {}): CompareRow {
  return {
    subject,
    name: subject,
    method: subject === 'base' ? null : 'lesa',
    layers: 12,
    newLayers: 0,
    parameters: 1_000_000,
    bytes: 2_000_000,
    seconds: null,
    device: null,
    perplexities: [],
    quality: null,
    settings: {},
    ...changes,
  }
}

function comparison(rows: readonly CompareRow[], changes: Partial<Comparison> = {}): Comparison {
  return {
    rows,
    settings: [],
    measurements: [{ text: TEXT, name: 'eval.txt', context: 192, perLine: false }],
    ...changes,
  }
}

const measured = comparison([
  row('base', { perplexities: [perplexity('base', 1.5536)] }),
  row('002-solar', { method: 'solar', perplexities: [perplexity('002-solar', null)] }),
  row('001-lesa', { perplexities: [perplexity('001-lesa', 1.54)] }),
  row('003-stack', { method: 'stack' }),
])
const column = (key: RegExp): ReturnType<typeof columnsOf>[number] => {
  const found = columnsOf(measured).find((one) => key.test(one.key))
  if (!found) throw new Error('no such column')
  return found
}

describe('the comparison', () => {
  it('has a column for each measurement and none for what nobody has', () => {
    const labels = columnsOf(measured).map(({ label }) => label)
    expect(labels).toContain('Perplexity, eval.txt (192)')
    expect(labels).not.toContain('Held-out cosine')
    expect(labels).not.toContain('Time')
  })

  it('tells what was not measured from what is beyond any number', () => {
    const [base, solar, , stack] = measured.rows.map((one) => column(/192/).textOf(one))
    expect([base, solar, stack]).toEqual(['1.5536', 'beyond any number', 'not measured'])
  })

  it('sorts numbers as numbers, with what is not known last either way', () => {
    const ids = (isDescending: boolean): string[] =>
      sortRows(measured.rows, column(/192/), isDescending).map(({ subject }) => subject)
    expect(ids(false)).toEqual(['001-lesa', 'base', '002-solar', '003-stack'])
    expect(ids(true)).toEqual(['base', '001-lesa', '002-solar', '003-stack'])
  })

  it('stays in its own order without a column to sort by', () => {
    expect(sortRows(measured.rows, undefined, false)).toEqual(measured.rows)
  })

  it('marks the lowest where lower is better, and nothing where all read the same', () => {
    expect(lowestOf(measured.rows, column(/192/))).toEqual(['001-lesa'])
    expect(lowestOf(measured.rows, column(/^layers$/))).toEqual([])
    const same = [1.553601, 1.553602].map((value, index) =>
      row(`00${index}-lesa`, { perplexities: [perplexity('x', value)] }),
    )
    expect(lowestOf(same, column(/192/))).toEqual([])
  })

  it('is saved in full precision with every setting, and written down with those that differ', () => {
    const rows = [
      row('001-lesa', {
        perplexities: [perplexity('001-lesa', 1.23456789)],
        settings: { seed: '0', lambda: '5e-5' },
      }),
    ]
    const whole = comparison(rows, {
      settings: [
        { key: 'seed', label: 'Seed', differs: false },
        { key: 'lambda', label: 'λ', differs: true },
      ],
    })
    const saved = exportTable(whole, rows)
    expect(saved.columns.map(({ label }) => label).slice(-2)).toEqual(['Seed', 'λ'])
    expect(saved.rows[0]).toContain(1.23456789)
    const written = documentTable(whole, rows)
    expect(written.columns.map(({ label }) => label)).not.toContain('Seed')
    expect(written.rows[0]).toContain('1.2346')
  })
})
