import { METHODS, methodNamed, type Method } from '@shared/methods'
import { ALIKE, type Pattern } from '@shared/methods/layers'
import { DEFAULT_DRAFT, type ProjectDraft } from '@shared/projects'
import { mount } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import CountSlider from '../../../../src/renderer/src/views/plan/CountSlider.vue'
import GapSettings from '../../../../src/renderer/src/views/plan/GapSettings.vue'
import LayoutOptions from '../../../../src/renderer/src/views/plan/LayoutOptions.vue'
import MethodDrawing from '../../../../src/renderer/src/views/plan/MethodDrawing.vue'
import RangeEditor from '../../../../src/renderer/src/views/plan/RangeEditor.vue'

const CONTROLS = { gaps: GapSettings, count: CountSlider, range: RangeEditor }

function open(method: Method, changes: Partial<ProjectDraft> = {}, pattern: Pattern = ALIKE) {
  const edits: [Partial<ProjectDraft>, string | null][] = []
  const view = mount(LayoutOptions, {
    props: {
      method: methodNamed(method),
      layers: 12,
      pattern,
      draft: { ...DEFAULT_DRAFT, method, ...changes },
      onChange: (patch: Partial<ProjectDraft>, key: string | null) => edits.push([patch, key]),
    },
  })
  return { view, edits }
}

describe('the controls of a method', () => {
  it.each<[Method, keyof typeof CONTROLS]>([
    ['lesa', 'gaps'],
    ['llama-pro', 'count'],
    ['solar', 'count'],
    ['interpolation', 'gaps'],
    ['stack', 'range'],
    ['neighbour-mean', 'gaps'],
    ['noise', 'gaps'],
  ])('of %s are those of its options’ kind', (method, kind) => {
    const { view } = open(method)
    for (const [known, control] of Object.entries(CONTROLS)) {
      expect(view.findAllComponents(control).length, known).toBe(known === kind ? 1 : 0)
    }
  })

  it('show the default for the model’s depth, and what it comes to', () => {
    expect(open('llama-pro').view.getComponent(CountSlider).props()).toEqual({
      label: 'Groups',
      hint: 'An identity copy after every 4 layers.',
      value: 3,
      min: 1,
      max: 12,
      valueText: '3 groups',
    })
    expect(open('solar', { overlap: 1 }).view.getComponent(CountSlider).props()).toMatchObject({
      hint: 'Without the last 1 of the first copy and the first 1 of the second: 2 × (12 − 1).',
      max: 5,
      valueText: '1 layer',
    })
    expect(open('stack').view.getComponent(RangeEditor).props()).toMatchObject({
      first: 6,
      last: 11,
    })
  })

  it('offer the gap after the last layer only to what copies', () => {
    const gaps = (method: Method): number => open(method).view.findAll('[role=option]').length
    expect(gaps('interpolation')).toBe(12)
    expect(gaps('neighbour-mean')).toBe(11)
  })

  it('choose between two ways of saying where, one of which counts', async () => {
    const radios = (view: ReturnType<typeof open>['view']) =>
      view
        .findAll<HTMLInputElement>('input[type=radio]')
        .map(({ element }) => `${element.value}${element.checked ? ' chosen' : ''}`)
    const groups = open('llama-pro', { groups: 4, gaps: [1] })
    expect(groups.view.get('.ways').text()).toContain('GroupsGaps')
    expect(radios(groups.view)).toEqual(['groups chosen', 'gaps'])
    await groups.view.findAll('input[type=radio]')[1]?.setValue()
    expect(groups.edits).toEqual([[{ groups: null, gaps: [5, 6, 7, 8, 9, 10] }, null]])
    const gaps = open('llama-pro', { gaps: [1] })
    expect(radios(gaps.view)).toEqual(['groups', 'gaps chosen'])
    const settings = gaps.view.getComponent(GapSettings)
    expect(settings.props()).toMatchObject({ gaps: [1] })
    // The preset for the default is these gaps, and not the other way.
    settings.vm.$emit('change', null, false)
    expect(gaps.edits).toEqual([[{ gaps: [5, 6, 7, 8, 9, 10] }, null]])
    expect(open('lesa').view.find('.ways').exists()).toBe(false)
  })

  it('offer to keep a pattern where there is one, and begin anew when that changes', async () => {
    const types = Array.from({ length: 12 }, (_, layer) => (layer % 3 === 2 ? 'global' : 'local'))
    const checkbox = '.keep input[type=checkbox]'
    const single = open('lesa', {}, { types, period: 1 })
    expect(single.view.get('.keep').text()).toContain('repeat every 3 layers')
    expect(single.view.getComponent(GapSettings).props()).toMatchObject({
      usual: [5, 6, 7, 8, 9, 10],
    })
    await single.view.get(checkbox).setValue(true)
    expect(single.edits).toEqual([[{ keepPattern: true, gaps: null, groups: null }, null]])
    const kept = open('lesa', { keepPattern: true }, { types, period: 3 })
    expect(kept.view.getComponent(GapSettings).props()).toMatchObject({
      possible: [2, 3, 4, 5, 6, 7, 8],
      usual: [5, 8],
    })
    await kept.view.get(checkbox).setValue(false)
    expect(kept.edits).toEqual([[{ keepPattern: null, gaps: null, groups: null }, null]])
    for (const method of ['solar', 'stack', 'fitted'] as const) {
      expect(open(method, {}, { types, period: 1 }).view.find('.keep').exists()).toBe(false)
    }
    const irregular = { types: ['dense', ...types.slice(1)], period: 1 }
    expect(open('lesa', {}, irregular).view.find('.keep').exists()).toBe(false)
    expect(open('lesa').view.find('.keep').exists()).toBe(false)
  })

  it('change the option they belong to', () => {
    const { view, edits } = open('stack')
    view.getComponent(RangeEditor).vm.$emit('change', [2, 3])
    expect(edits).toEqual([[{ repeat: [2, 3] }, 'repeat']])
  })
})

describe('the drawing of a method', () => {
  const draw = (method: Method) => mount(MethodDrawing, { props: { method: methodNamed(method) } })
  const heights = (method: Method): string[] =>
    draw(method)
      .findAll('rect')
      .map((bar) => `${bar.attributes('y')}/${bar.attributes('height')}`)

  it.each(METHODS)('of %s has twelve layers', (method) => {
    expect(draw(method).findAll('rect')).toHaveLength(12)
  })

  it('puts SOLAR’s second copy beneath the first', () => {
    expect(heights('solar')).toEqual([
      ...Array.from({ length: 6 }, () => '2/13'),
      ...Array.from({ length: 6 }, () => '17/13'),
    ])
    expect(new Set(heights('stack'))).toEqual(new Set(['2/26']))
  })

  it('brackets the group that is stacked, both times', () => {
    expect(draw('stack').get('.bracket').attributes('d')).toBe('M38 30.6h35.5M76 30.6h35.5')
    expect(draw('interpolation').find('.bracket').exists()).toBe(false)
  })

  it('marks computed layers by how they come about', () => {
    const marks = (method: Method): string[] =>
      draw(method)
        .findAll('.glyph')
        .map((mark) => mark.classes().join(' '))
    expect(marks('lesa')).toEqual(Array.from({ length: 4 }, () => 'glyph curve'))
    expect(marks('neighbour-mean')).toEqual(Array.from({ length: 4 }, () => 'glyph equal'))
    expect(marks('noise')).toEqual(Array.from({ length: 4 }, () => 'glyph dots'))
    expect(marks('llama-pro')).toEqual(Array.from({ length: 4 }, () => 'glyph'))
  })
})
