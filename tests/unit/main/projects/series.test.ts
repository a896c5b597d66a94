import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { JsonLines } from '../../../../src/main/projects/JsonLines'
import { gatherSeries, seriesLine, thinSeries } from '../../../../src/main/projects/series'
import { tempFolder } from '../../../support/tempFolder'

const line = (series: string, x: number[], y: number[]): unknown =>
  JSON.parse(JSON.stringify(seriesLine({ type: 'metric', series, x, y })))

describe('the points of a series', () => {
  it('are put together in order', () => {
    const all = gatherSeries([
      line('a', [1, 2], [10, 20]),
      line('b', [1], [5]),
      line('a', [3], [30]),
    ])
    expect(Object.fromEntries(all)).toEqual({
      a: { x: [1, 2, 3], y: [10, 20, 30] },
      b: { x: [1], y: [5] },
    })
  })

  it('of a later attempt replace those from where it began', () => {
    const all = gatherSeries([
      line('a', [1, 2, 3], [10, 20, 30]),
      line('a', [4, 5], [40, 50]),
      line('a', [3], [33]),
      line('a', [4], [44]),
    ])
    expect(all.get('a')).toEqual({ x: [1, 2, 3, 4], y: [10, 20, 33, 44] })
    expect(gatherSeries([line('a', [5], [1]), line('a', [1], [2])]).get('a')).toEqual({
      x: [1],
      y: [2],
    })
  })

  it('that are not finite stay visible as such, and other lines are left out', () => {
    const all = gatherSeries([
      line('a', [1], [Infinity]),
      { s: 'a', x: [2] },
      { s: 'a', x: [2, 3], y: [1] },
      { s: 7, x: [2], y: [1] },
      'text',
      null,
      line('a', [4], [4]),
    ])
    expect(all.get('a')).toEqual({ x: [1, 4], y: [NaN, 4] })
  })

  it('are thinned out to the lowest and highest of each stretch', () => {
    const x = Array.from({ length: 10_000 }, (_, i) => i)
    const y = x.map((i) => (i === 777 ? 100 : i === 5555 ? -100 : Math.sin(i)))
    const { series } = thinSeries(new Map([['a', { x, y }]]), 100)
    const thinned = series['a']
    expect(thinned?.isSampled).toBe(true)
    expect(thinned?.x.length).toBeLessThanOrEqual(100)
    expect(thinned?.y).toContain(100)
    expect(thinned?.y).toContain(-100)
    expect([...(thinned?.x ?? [])].sort((a, b) => a - b)).toEqual(thinned?.x)
    expect(thinSeries(new Map([['a', { x, y }]]), 10_000).series['a']).toEqual({
      x,
      y,
      isSampled: false,
    })
  })
})

describe('a file of lines', () => {
  it('keeps what was appended, in order, and leaves out a line that was cut off', async () => {
    const file = join(await tempFolder(), 'a.jsonl')
    const lines = new JsonLines(file)
    for (let n = 0; n < 100; n += 1) lines.append({ n })
    await lines.flush()
    lines.append('ü\n')
    await lines.flush()
    await appendFile(file, '{"n": 10')
    const read = await JsonLines.read(file)
    expect(read).toHaveLength(101)
    expect(read.at(-1)).toBe('ü\n')
    expect(await JsonLines.read(`${file}.none`)).toEqual([])
    // The program after it takes nothing of its own with it.
    const next = new JsonLines(file)
    for (const each of ['first', 'second']) {
      next.append(each)
      await next.flush()
    }
    expect((await JsonLines.read(file)).slice(-3)).toEqual(['ü\n', 'first', 'second'])
  })

  it('tells that it cannot be written', async () => {
    const folder = await tempFolder()
    await writeFile(join(folder, 'file'), 'x')
    const errors: unknown[] = []
    const lines = new JsonLines(join(folder, 'file', 'a.jsonl'), (error) => errors.push(error))
    lines.append(1)
    await lines.flush()
    expect(errors).toHaveLength(1)
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('x')
  })
})
