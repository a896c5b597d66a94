import type { Comparison, CompareRow, Perplexity } from '@shared/projects'
import { describe, expect, it } from 'vitest'
import {
  columnsOf,
  differentDepths,
  documentTable,
  exportTable,
  newestOf,
  shownColumns,
  sortRows,
} from '../../../../src/renderer/src/views/compare/table'

const TEXT = 'a'.repeat(16)

function perplexity(
  subject: string,
  value: number | null,
  changes: Partial<Perplexity> = {},
): Perplexity {
  return {
    subject,
    text: TEXT,
    context: 192,
    perLine: false,
    perplexity: value,
    tokens: 100,
    predicted: 99,
    standardError: 0.001,
    losses: null,
    againstBase: null,
    seconds: 1,
    device: 'cpu',
    measuredAt: 0,
    ...changes,
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
    trainedSteps: null,
    isTrainedElsewhere: false,
    verdict: null,
    settings: {},
    ...changes,
  }
}

function comparison(rows: readonly CompareRow[], changes: Partial<Comparison> = {}): Comparison {
  return {
    rows,
    vocabularySize: 512,
    settings: [],
    measurements: [{ text: TEXT, name: 'eval.txt', context: 192, perLine: false, tokens: 100 }],
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
    expect(labels).toContain('Perplexity, eval.txt (windows of 192)')
    expect(labels).not.toContain('Held-out cosine')
    expect(labels).not.toContain('Time')
  })

  it('tells what was not measured from what is beyond any number', () => {
    const [base, solar, , stack] = measured.rows.map((one) => column(/192/).textOf(one))
    expect([base, solar, stack]).toEqual(['1.5536', 'beyond any number', 'not measured'])
  })

  it('sorts numbers as numbers, the base first and what is not known last either way', () => {
    const ids = (isDescending: boolean): string[] =>
      sortRows(measured.rows, column(/192/), isDescending).map(({ subject }) => subject)
    // The base is what all others are read against.
    expect(ids(false)).toEqual(['base', '001-lesa', '002-solar', '003-stack'])
    expect(ids(true)).toEqual(['base', '001-lesa', '002-solar', '003-stack'])
  })

  it('stays in its own order without a column to sort by', () => {
    expect(sortRows(measured.rows, undefined, false)).toEqual(measured.rows)
  })

  const best = (rows: readonly CompareRow[], key: RegExp): readonly string[] => {
    const found = columnsOf(comparison(rows)).find((one) => key.test(one.key))
    return found?.bestOf?.(rows).map(({ subject }) => subject) ?? []
  }
  const of = (values: readonly (number | null)[], standardError: number | null): CompareRow[] =>
    values.map((value, index) =>
      row(`00${index}-lesa`, { perplexities: [perplexity('x', value, { standardError })] }),
    )

  it('marks the perplexity that is clearly the lowest', () => {
    expect(best(of([1.55, 1.4, null], 0.01), /192/)).toEqual(['001-lesa'])
  })

  it.each<[string, readonly (number | null)[], number | null]>([
    ['differences within the intervals', [1.55, 1.54], 0.01],
    ['a runner-up within the intervals', [1.55, 1.2, 1.21], 0.01],
    ['unknown intervals', [1.55, 1.2], null],
    ['guessing among all tokens', [47_641.7, 513], 0.01],
    ['one model alone', [1.2], 0.01],
    ['nothing that is a number', [null, null], 0.01],
  ])('marks no perplexity where there is only %s', (_, values, standardError) => {
    expect(best(of(values, standardError), /192/)).toEqual([])
  })

  const quality = (heldOut: number | null, training = 0.5): Partial<CompareRow> => ({
    quality: {
      errorOverZero: training,
      errorOverMean: training,
      heldOutOverZero: heldOut,
      heldOutOverMean: heldOut,
      heldOutCosine: 0.1,
    },
  })

  it('marks a held-out error only below one, and never a training error or a cosine', () => {
    const good = [row('001-lesa', quality(0.7)), row('002-lesa', quality(0.9, 0.1))]
    expect(best(good, /^heldOutOverZero$/)).toEqual(['001-lesa'])
    const bad = [row('001-lesa', quality(1.13)), row('002-lesa', quality(1.96, 0.1))]
    expect(best(bad, /^heldOutOverZero$/)).toEqual([])
    expect(best(good, /^error|Cosine$/)).toEqual([])
  })

  it('shows results first and leaves out what all runs have in common', () => {
    const run = (subject: string, changes: Partial<CompareRow> = {}): CompareRow =>
      row(subject, { newLayers: 6, ...quality(0.9), ...changes })
    const keys = (rows: readonly CompareRow[]): string[] =>
      shownColumns(comparison(rows)).columns.map(({ key }) => key)
    const same = [row('base'), run('001-lesa'), run('002-lesa')]
    expect(keys(same)).not.toContain('parameters')
    expect(keys(same).slice(0, 4)).toEqual([
      'name',
      'heldOutOverZero',
      'heldOutOverMean',
      'heldOutCosine',
    ])
    expect(shownColumns(comparison(same)).common).toContainEqual({ label: 'New', text: '6' })
    const other = [...same, run('003-solar', { parameters: 2_000_000 })]
    expect(keys(other)).toContain('parameters')
    expect(keys(other).indexOf('parameters')).toBeGreaterThan(keys(other).indexOf('errorOverMean'))
  })

  it('shows what was measured last, and says when depths differ', () => {
    const rows = [
      row('base', {
        perplexities: [perplexity('base', 2, { measuredAt: 5, text: 'b'.repeat(16) })],
      }),
      row('001-lesa', { layers: 18, perplexities: [perplexity('001-lesa', 2, { measuredAt: 3 })] }),
      row('002-solar', { layers: 15 }),
    ]
    expect(newestOf(comparison(rows))?.text).toBe('b'.repeat(16))
    expect(newestOf(comparison([]))).toBeNull()
    expect(differentDepths(rows)).toEqual([15, 18])
    expect(differentDepths(rows.slice(0, 2))).toEqual([])
  })

  it('is saved under heads that are plain and each there once, with tokens and intervals', () => {
    const rows = [
      row('001-lesa', {
        ...quality(0.9),
        seconds: 2,
        perplexities: [perplexity('001-lesa', 2, { standardError: 0.1 })],
        settings: { method: 'LESA', seed: '0', first: '1', second: '2' },
      }),
    ]
    const whole = comparison(rows, {
      settings: ['method', 'seed', 'first', 'second'].map((key) => ({
        key,
        label: key === 'method' ? 'Method' : key === 'seed' ? 'Seed' : 'Size (bytes)',
        isLayout: false,
        differs: true,
      })),
    })
    const heads = exportTable(whole, rows).columns.map(({ label }) => label)
    expect(new Set(heads).size).toBe(heads.length)
    expect(heads.filter((head) => head.startsWith('Method'))).toEqual(['Method'])
    expect(heads).toContain('Size (bytes) (3)')
    expect(heads).toContain('Time (s)')
    expect(heads).toContain('Perplexity, eval.txt (windows of 192), tokens')
    expect(heads.join()).not.toMatch(/[‘’“”]/)
    expect(
      documentTable(whole, rows)
        .columns.map(({ label }) => label)
        .join(),
    ).not.toMatch(/[‘’]/)
    expect(exportTable(whole, rows).rows[0]?.length).toBe(heads.length)
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
        { key: 'seed', label: 'Seed', isLayout: false, differs: false },
        { key: 'lambda', label: 'λ', isLayout: false, differs: true },
      ],
    })
    const saved = exportTable(whole, rows)
    expect(saved.columns.map(({ label }) => label).slice(-2)).toEqual(['Seed', 'λ'])
    expect(saved.rows[0]).toContain(1.23456789)
    const written = documentTable(whole, rows)
    expect(written.columns.map(({ label }) => label)).not.toContain('Seed')
    expect(written.rows[0]).toContainEqual(expect.stringMatching(/^1\.2346 \(/))
  })
})
