import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Component } from 'vue'
import ChartAxis from '../../../src/renderer/src/charts/ChartAxis.vue'
import ChartTip from '../../../src/renderer/src/charts/ChartTip.vue'
import DotChart from '../../../src/renderer/src/charts/DotChart.vue'
import LineChart from '../../../src/renderer/src/charts/LineChart.vue'
import { styleOf } from '../../../src/renderer/src/charts/marks'
import RaceChart from '../../../src/renderer/src/charts/RaceChart.vue'
import PlaneChart from '../../../src/renderer/src/charts/PlaneChart.vue'
import { textWidth } from '../../../src/renderer/src/charts/textWidth'

const draw = (component: Component, props: Record<string, unknown>): VueWrapper =>
  mount(component, { props }) as VueWrapper

const textsOf = (wrapper: VueWrapper): string[] =>
  wrapper
    .findAll('text')
    .map((text) => text.text())
    .filter((text) => text !== '')

describe('an axis', () => {
  const plot = { left: 60, right: 260, top: 10, bottom: 110 }
  const ticks = [
    { at: 60, text: '0' },
    { at: 160, text: '' },
    { at: 260, text: '2½', isNew: true },
  ]

  it('below a picture has a line, a mark for each text, and its name', () => {
    const axis = draw(ChartAxis, { side: 'bottom', plot, ticks, label: 'Layer' })
    expect(textsOf(axis)).toEqual(['0', '2½', 'Layer'])
    // The line itself and two marks: what has no text is not marked.
    expect(axis.findAll('line')).toHaveLength(3)
    expect(axis.findAll('line')[0]?.attributes()).toMatchObject({ x1: '60', x2: '260', y1: '110' })
    expect(axis.findAll('line')[1]?.attributes()).toMatchObject({ x1: '60', y1: '114', y2: '110' })
    expect(axis.findAll('.new').map((text) => text.text())).toEqual(['2½'])
  })

  it('reaches through the picture as a grid, from either side', async () => {
    const props = { side: 'left' as const, plot, ticks: [{ at: 35, text: '7' }], label: 'Norm' }
    const axis = draw(ChartAxis, { ...props, hasGrid: true })
    const lines = (): Record<string, string>[] =>
      axis.findAll('line').map((one) => one.attributes())
    expect(lines()).toMatchObject([{ x1: '60', x2: '260', y1: '35', y2: '35' }])
    await axis.setProps({ side: 'bottom', ticks: [{ at: 80, text: '7' }] })
    expect(lines()).toMatchObject([{ x1: '80', x2: '80', y1: '10', y2: '110' }])
  })
})

describe('a tip', () => {
  const reading = {
    x: 30,
    name: 'Layer 3',
    rows: [
      { label: 'q_proj', value: '0.123', title: '0.12345', color: 'red' },
      { value: '1.00, 2.00' },
    ],
  }

  it('shows what is read, in full on demand, and says it', () => {
    const tip = draw(ChartTip, { reading, width: 100 })
    expect(tip.get('.tip').text()).toContain('Layer 3')
    expect(tip.get('[title="0.12345"]').text()).toBe('0.123')
    expect(tip.findAll('circle')).toHaveLength(1)
    expect(tip.get('[aria-live]').text()).toBe('Layer 3: q_proj 0.123, 1.00, 2.00')
  })

  it('opens towards the middle of the picture, and stays within', async () => {
    const tip = draw(ChartTip, { reading, width: 100 })
    const place = (): string | undefined => tip.get('.tip').attributes('style')
    expect(place()).toContain('clamp(0px, 40px, 100px - 100%) 0px')
    await tip.setProps({ reading: { ...reading, x: 70, y: 5 } })
    expect(place()).toContain('clamp(0px, 60px - 100%, 100px - 100%) 5px')
  })

  it('leaves the place where it speaks when there is nothing to read', () => {
    const tip = draw(ChartTip, { reading: null, width: 100 })
    expect(tip.find('.tip').exists()).toBe(false)
    expect(tip.get('[aria-live]').text()).toBe('')
  })
})

describe('charts', () => {
  beforeEach(() => {
    // Nothing is laid out here: every element is 400 pixels wide.
    vi.stubGlobal(
      'ResizeObserver',
      class {
        constructor(readonly callback: (entries: { contentRect: DOMRect }[]) => void) {}
        observe(): void {
          void Promise.resolve().then(() =>
            this.callback([{ contentRect: new DOMRect(0, 0, 400, 300) }]),
          )
        }
        disconnect(): void {
          // It reports once.
        }
      },
    )
  })
  afterEach(() => vi.unstubAllGlobals())

  const press = async (chart: VueWrapper, ...keys: string[]): Promise<string> => {
    for (const key of keys) await chart.get('[role="group"]').trigger('keydown', { key })
    return chart.get('[aria-live]').text()
  }
  const point = async (chart: VueWrapper, clientX: number, clientY: number): Promise<string> => {
    await chart.get('[role="group"]').trigger('pointermove', { clientX, clientY })
    return chart.get('[aria-live]').text()
  }

  const line = (id: 'q_proj' | 'k_proj', x: number[], y: (number | null)[]) => ({
    id,
    label: id,
    style: styleOf(id, ['q_proj', 'k_proj']),
    x,
    y,
  })

  it('of lines read every x that any line has', async () => {
    const chart = draw(LineChart, {
      label: 'Spectrum',
      lines: [line('q_proj', [1, 2, 3], [5, 4, 3]), line('k_proj', [2, 4], [8, null])],
      xLabel: 'Direction',
      yLabel: 'Sigma',
      include: [0],
    })
    await flushPromises()
    expect(chart.get('[role="group"]').attributes('aria-label')).toBe('Spectrum')
    expect(textsOf(chart)).toEqual([
      '0',
      '2',
      '4',
      '6',
      '8',
      'Sigma',
      '1',
      '2',
      '3',
      '4',
      'Direction',
    ])
    expect(await press(chart, 'ArrowRight')).toBe('Direction 1: q_proj 5.00')
    expect(await press(chart, 'ArrowRight')).toBe('Direction 2: q_proj 4.00, k_proj 8.00')
    // From 58 to 384 pixels: 3 is at 275.
    expect(await point(chart, 260, 50)).toBe('Direction 3: q_proj 3.00')
    expect(await press(chart, 'Escape')).toBe('')
  })

  it('of lines over places break at what is not known, and leave new places out of a broken line', async () => {
    const chart = draw(LineChart, {
      label: 'Norms',
      lines: [line('q_proj', [0, 1, 2, 3, 4], [1, 1, 1, null, 1])],
      places: ['0', '½', '1', '2', '3'].map((label) => ({ label, isNew: label === '½' })),
      isBroken: true,
      xLabel: 'Layer',
      yLabel: 'Norm',
    })
    await flushPromises()
    const path = chart.get('path.line').attributes('d') ?? ''
    // From 0 to 1, over the new layer; then 3 by itself.
    expect(path.match(/M/g)).toHaveLength(2)
    expect(path.match(/L/g)).toHaveLength(1)
    expect(chart.findAll('.new-band')).toHaveLength(1)
    expect(chart.findAll('path.hollow')).toHaveLength(1)
    expect(await press(chart, 'Home', 'ArrowRight')).toBe('Layer ½ (new layer): q_proj 1.00')
  })

  describe('of a race', () => {
    const racer = (id: 'q_proj' | 'k_proj', x: number[], y: number[]) => ({
      id,
      label: id === 'q_proj' ? 'LESA' : 'SOLAR',
      style: styleOf(id, ['q_proj', 'k_proj']),
      main: { x, y },
      isMarked: true,
    })
    const race = async (changes: Record<string, unknown> = {}) => {
      const chart = draw(RaceChart, {
        label: 'Losses',
        lines: [
          racer('q_proj', [0, 50, 100], [4, 3, 2]),
          racer('k_proj', [0, 50, 100], [4, 3.5, 2]),
        ],
        xLabel: 'Steps',
        xName: 'Step',
        yLabel: 'Loss',
        ...changes,
      })
      await flushPromises()
      return chart
    }

    it('names each line at its end, apart from the others', async () => {
      const chart = await race()
      const names = chart.findAll('text.name')
      expect(names.map((name) => name.text()).sort()).toEqual(['LESA', 'SOLAR'])
      const [first = 0, second = 0] = names.map((name) => Number(name.attributes('y')))
      expect(Math.abs(first - second)).toBeGreaterThanOrEqual(15)
      // Both within the picture, and the names where the lines end.
      for (const name of names) {
        const end = Number(name.attributes('x')) + textWidth(name.text(), 12)
        expect(end).toBeLessThanOrEqual(400)
      }
    })

    it('reads all lines at a place, and the spread of repeats', async () => {
      const [first, second] = [
        racer('q_proj', [0, 50, 100], [4, 3, 2]),
        racer('k_proj', [0, 40, 100], [4, 3.5, 2.5]),
      ]
      const band = { x: [0, 50, 100], low: [3.9, 2.8, 1.9], high: [4.1, 3.2, 2.1] }
      const chart = await race({ lines: [{ ...first, band }, second] })
      expect(await press(chart, 'ArrowRight')).toBe('Step 0: LESA 4.000 (3.900–4.100), SOLAR 4.000')
      // SOLAR's last value before.
      expect(await press(chart, 'ArrowRight', 'ArrowRight')).toBe(
        'Step 50: LESA 3.000 (2.800–3.200), SOLAR 3.500',
      )
      expect(chart.findAll('path.band').some((path) => path.attributes('d') !== '')).toBe(true)
    })

    it('is looked at closer by a drag and by keys, and whole again', async () => {
      const chart = await race()
      const group = chart.get('[role="group"]')
      const ticks = (): string[] => textsOf(chart).filter((text) => /^\d+$/.test(text))
      const before = ticks()
      await group.trigger('pointerdown', { clientX: 100, button: 0, pointerId: 1 })
      await group.trigger('pointermove', { clientX: 180 })
      await group.trigger('pointerup')
      expect(ticks()).not.toEqual(before)
      await group.trigger('dblclick')
      expect(ticks()).toEqual(before)
      await press(chart, '+')
      expect(ticks()).not.toEqual(before)
      await press(chart, '0')
      expect(ticks()).toEqual(before)
      await group.trigger('pointerdown', { clientX: 100, button: 0, pointerId: 1 })
      await group.trigger('pointerup')
      expect(ticks()).toEqual(before)
    })

    it('is not pressed together by what was measured of one bad batch', async () => {
      const [line] = [racer('q_proj', [0, 100], [4, 2])]
      const plain = textsOf(await race({ lines: [line] }))
      const faint = { x: [0, 50, 100], y: [4, 900, 2] }
      expect(textsOf(await race({ lines: [{ ...line, faint }] }))).toEqual(plain)
    })

    it('shows the base as a line, on either scale', async () => {
      for (const yKind of ['linear', 'log'] as const) {
        const chart = await race({ yKind, references: [{ value: 1.5, label: 'Base model' }] })
        expect(textsOf(chart)).toContain('Base model')
        const y = Number(chart.get('.reference line').attributes('y1'))
        expect(y).toBeGreaterThan(14)
        expect(y).toBeLessThanOrEqual(260)
      }
    })
  })

  it('of rows read row by row, as they write their values', async () => {
    const dot = (value: number | null) => ({
      label: 'Perplexity',
      value,
      mark: 'circle' as const,
      color: 'red',
    })
    const chart = draw(DotChart, {
      label: 'Perplexities',
      rows: [
        { id: 'a', label: 'Base', dots: [dot(10)] },
        { id: 'b', label: 'Grown', dots: [dot(12.5)] },
        { id: 'c', label: 'Failed', dots: [dot(null)] },
      ],
      xLabel: 'Lower is better',
      format: (value: number) => value.toFixed(4),
    })
    await flushPromises()
    expect(textsOf(chart)).toEqual(expect.arrayContaining(['10.0000', '12.5000', '–']))
    expect(await press(chart, 'ArrowDown', 'ArrowDown')).toBe('Grown: Perplexity 12.5000')
    expect(await point(chart, 100, 30)).toBe('Base: Perplexity 10.0000')
    expect(await point(chart, 100, 4)).toBe('')
  })

  it('of a plane read the point under the pointer, and each of several at one place by the keyboard', async () => {
    const at = (index: number, label: string, x: number, isNew = false) => ({
      index,
      label,
      x,
      y: 0,
      isNew,
      isPredicted: isNew,
    })
    const chart = draw(PlaneChart, {
      label: 'Directions',
      points: [at(0, '0', 0), at(1, '½', 0, true), at(2, '1', 1)],
      color: 'red',
      xLabel: 'PC 1',
      yLabel: 'PC 2',
    })
    await flushPromises()
    expect(await press(chart, 'ArrowRight', 'ArrowRight')).toBe('½ · predicted layer: 0.00, 0.00')
    expect(await point(chart, 360, 215)).toBe('1 · base layer: 1.00, 0.00')
    expect(await point(chart, 200, 215)).toBe('')
    expect(chart.get('.legend').text()).toContain('predicted layer')
    expect(chart.get('.legend').text()).not.toContain('copied layer')
  })

  it('of very many layers mark the new ones, and leave the old ones a line', async () => {
    const count = 192
    const isNew = (index: number): boolean => index >= 64 && index % 2 === 1
    const chart = draw(LineChart, {
      label: 'Norms',
      lines: [line('q_proj', [...Array(count).keys()], Array<number>(count).fill(1))],
      places: Array.from({ length: count }, (_, i) => ({ label: `${i}½–${i}`, isNew: isNew(i) })),
      isBroken: true,
      xLabel: 'Layer',
      yLabel: 'Norm',
    })
    await flushPromises()
    expect(chart.findAll('path.point')).toHaveLength(64)
    expect(chart.findAll('path.hollow')).toHaveLength(64)
    // None is cut at the right end.
    for (const text of chart.findAll('text.tick').filter((one) => one.text().includes('–'))) {
      const half = textWidth(text.text(), 11.5, 600) / 2
      expect(Number(text.attributes('x')) + half).toBeLessThanOrEqual(400)
    }
    // Labels do not touch: of 326 pixels, each takes what its bold text and a gap need.
    const texts = textsOf(chart).filter((text) => text.includes('–'))
    const widest = Math.max(...texts.map((text) => textWidth(text, 11.5, 600)))
    expect(texts.length * (widest + 10)).toBeLessThanOrEqual(326 + widest + 10)
  })

  it('of rows with long names show the name’s beginning, never cut on its left', async () => {
    const name = 'ESA 1500 Schritte '.repeat(8)
    const chart = draw(DotChart, {
      label: 'Perplexities',
      rows: [
        { id: 'a', label: name, dots: [{ label: 'P', value: 1, mark: 'circle', color: 'red' }] },
      ],
      xLabel: 'Lower is better',
    })
    await flushPromises()
    const label = chart.get('.row-label')
    expect(label.text()).toMatch(/^ESA 1500.*…$/)
    expect(textWidth(label.text(), 12.5)).toBeLessThanOrEqual(Number(label.attributes('x')))
  })

  it('of a plane with very many layers label every n-th, colour by depth, and zoom', async () => {
    const points = Array.from({ length: 192 }, (_, index) => ({
      index,
      label: String(index),
      x: Math.cos(index / 30),
      y: Math.sin(index / 30),
      isNew: index % 3 === 2,
      isPredicted: index % 3 === 2,
    }))
    const chart = draw(PlaneChart, { label: 'D', points, color: 'red', xLabel: '1', yLabel: '2' })
    await flushPromises()
    const labels = (): string[] => chart.findAll('text.label').map((text) => text.text())
    expect(labels().length).toBeLessThanOrEqual(24)
    expect(labels()).toContain('0')
    const fills = chart.findAll('circle.dot').map((dot) => dot.attributes('fill'))
    expect(new Set(fills).size).toBeGreaterThan(50)
    const before = labels()
    await press(chart, 'End')
    await press(chart, '+', '+', '+')
    expect(labels()).not.toEqual(before)
    // The layer that is read is in sight, with more of its neighbours' names.
    expect(
      labels()
        .map(Number)
        .filter((label) => label > 150).length,
    ).toBeGreaterThan(before.map(Number).filter((label) => label > 150).length)
    await press(chart, '0')
    expect(labels()).toEqual(before)
  })
})
