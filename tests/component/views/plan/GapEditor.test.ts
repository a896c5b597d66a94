import { ALIKE, possibleGaps, type Pattern } from '@shared/methods/layers'
import { mount, type VueWrapper } from '@vue/test-utils'
import { afterEach, describe, expect, it } from 'vitest'
import { nextTick } from 'vue'
import GapEditor from '../../../../src/renderer/src/views/plan/GapEditor.vue'

let editor: VueWrapper
let gaps: number[]

function open(
  start: number[],
  layers = 8,
  { pattern = ALIKE, possible }: { pattern?: Pattern; possible?: number[] } = {},
): void {
  gaps = start
  editor = mount(GapEditor, {
    attachTo: document.body,
    props: {
      layers,
      slots: layers - 1,
      possible: possible ?? possibleGaps(layers, pattern),
      pattern,
      gaps: start,
      onChange: (changed: number[]) => {
        gaps = changed
        void editor.setProps({ gaps: changed })
      },
    },
  }) as VueWrapper
}

const gap = (index: number) => editor.findAll('[role=option]')[index]
const click = async (index: number, options: object = {}): Promise<void> => {
  await gap(index)?.trigger('click', options)
  await nextTick()
}
const press = async (key: string, options: object = {}): Promise<void> => {
  await editor.get('[role=listbox]').trigger('keydown', { key, ...options })
  await nextTick()
}

afterEach(() => {
  editor.unmount()
})

describe('the strip of layers', () => {
  it('names every gap and what is in it', () => {
    open([2, 2, 5])
    expect(editor.findAll('[role=option]')).toHaveLength(7)
    expect(gap(2)?.attributes('aria-label')).toBe('Between layers 2 and 3: 2 new layers')
    expect(gap(2)?.attributes('aria-selected')).toBe('true')
    expect(gap(3)?.attributes('aria-label')).toBe('Between layers 3 and 4: nothing new')
  })

  it('inserts with a click, and one more with another', async () => {
    open([5])
    await click(1)
    expect(gaps).toEqual([1, 5])
    await click(1)
    expect(gaps).toEqual([1, 1, 5])
  })

  it('takes out with Alt', async () => {
    open([1, 1, 5])
    await click(1, { altKey: true })
    expect(gaps).toEqual([1, 5])
  })

  it('fills a range with as many as its beginning has', async () => {
    open([1, 6])
    await click(1)
    await click(4, { shiftKey: true })
    expect(gaps).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 6])
  })

  it('keeps one new layer, and says so', async () => {
    open([3])
    await click(3, { altKey: true })
    expect(gaps).toEqual([3])
    expect(editor.emitted('refuse')).toHaveLength(1)
  })

  it('fills whole periods, where there is one on both sides, and says why not elsewhere', async () => {
    const types = ['a', 'a', 'b', 'a', 'a', 'b', 'a', 'a']
    open([2], 8, { pattern: { types, period: 3 } })
    expect(gap(2)?.attributes('aria-label')).toBe('Between layers 2 and 3: 3 new layers')
    expect(gap(2)?.text()).toBe('+3')
    await click(3)
    expect(gaps).toEqual([2, 3])
    await click(6)
    expect(gaps).toEqual([2, 3])
    expect(editor.emitted('refuse')).toEqual([
      ['After layer 6: no whole period of 3 layers lies on both sides'],
    ])
    expect(gap(6)?.attributes('aria-disabled')).toBe('true')
    await click(2)
    expect(gaps).toEqual([2, 2, 3])
    await click(6, { shiftKey: true })
    expect(gaps).toEqual([2, 2, 3, 3, 4, 4])
  })

  it('shows of which type each layer is, and what the marks stand for', () => {
    open([2], 8, { pattern: { types: ['a', 'a', 'b', 'a', 'a', 'b', 'a', 'c'], period: 1 } })
    const marks = editor
      .findAll('.layer')
      .map((each) => each.findAll('.band')[0]?.attributes('data-kind') ?? '')
    expect(marks).toEqual(['', '', '1', '', '', '1', '', '2'])
    expect(editor.get('.legend').text()).toBe('abc')
  })

  it('does all of it with keys', async () => {
    open([6])
    await press('ArrowRight')
    await press('Enter')
    expect(gaps).toEqual([1, 6])
    await press('ArrowRight', { shiftKey: true })
    await press('ArrowRight', { shiftKey: true })
    expect(gaps).toEqual([1, 2, 3, 6])
    await press('3')
    expect(gaps).toEqual([1, 2, 3, 3, 3, 6])
    await press('Backspace')
    expect(gaps).toEqual([1, 2, 3, 3, 6])
    await press('End')
    await press('0')
    expect(gaps).toEqual([1, 2, 3, 3])
  })

  it('tells assistive technology where it is', async () => {
    open([6])
    await press('End')
    const active = editor.get('[role=listbox]').attributes('aria-activedescendant')
    expect(gap(6)?.attributes('id')).toBe(active)
    await press('ArrowRight')
    expect(editor.get('[role=listbox]').attributes('aria-activedescendant')).toBe(active)
  })

  it('leaves keys alone that belong to commands', async () => {
    open([6])
    await press('z', { ctrlKey: true })
    await press('1', { ctrlKey: true })
    expect(gaps).toEqual([6])
  })
})
