import type { CardEdits, Publishable } from '@shared/exports'
import { mount, type VueWrapper } from '@vue/test-utils'
import { expect, it } from 'vitest'
import { defineComponent, h, ref } from 'vue'
import CardEditor from '../../../../src/renderer/src/views/export/CardEditor.vue'

const publishable = (id: string, changes: Partial<Publishable> = {}): Publishable => ({
  id,
  model: 'LESA',
  text: `${id}.txt`,
  context: 192,
  perLine: false,
  perplexity: 1.5536,
  standardError: 0.007,
  tokens: 19_608,
  isPublished: true,
  ...changes,
})
const PUBLISHABLE = [
  publishable('long'),
  publishable('tiny', { perplexity: 36_247.3, tokens: 3, isPublished: false }),
]

const edits = ref<CardEdits>({})
const chosen = ref<readonly string[] | null>(null)

function show(): VueWrapper {
  edits.value = {}
  chosen.value = null
  // As the Export view holds them.
  const parent = defineComponent(
    () => () =>
      h(CardEditor, {
        edits: edits.value,
        chosen: chosen.value,
        defaults: { title: 'Demo', author: '', baseModel: '', license: 'mit', languages: ['en'] },
        publishable: PUBLISHABLE,
        onEdit: (change: CardEdits) => (edits.value = { ...edits.value, ...change }),
        onReset: () => (edits.value = {}),
        'onUpdate:chosen': (ids: readonly string[] | null) => (chosen.value = ids),
      }),
  )
  return mount(parent) as VueWrapper
}

const field = (view: VueWrapper, label: string) => {
  const found = view.findAll('label').find((one) => one.text() === label)
  return view.get<HTMLInputElement>(`[id="${found?.attributes('for')}"]`)
}

it('keeps every field, also of two that are left and entered at once', async () => {
  const view = show()
  const [languages, base] = [field(view, 'Languages'), field(view, 'Base model on the hub')]
  languages.element.value = 'en, de'
  base.element.value = 'org/name'
  // Nothing is drawn in between.
  await Promise.all([languages.trigger('change'), base.trigger('input')])
  expect(edits.value).toEqual({ languages: ['en', 'de'], baseModel: 'org/name' })
  const reset = view.findAll('button').find((one) => one.text().startsWith('Back to what'))
  await reset?.trigger('click')
  expect(edits.value).toEqual({})
  expect(field(view, 'Base model on the hub').element.value).toBe('')
})

it('names what is no id and no language code', async () => {
  const view = show()
  await field(view, 'Base model on the hub').setValue('not an id/')
  expect(view.text()).toContain('An id such as org/name, or nothing.')
  for (const [typed, isGood] of [
    ['en, pt-BR, zh_Hant, multilingual', true],
    ['German', false],
  ] as const) {
    field(view, 'Languages').element.value = typed
    await field(view, 'Languages').trigger('change')
    expect(view.text().includes('not names')).toBe(!isGood)
  }
})

it('publishes what says something until somebody chooses', async () => {
  const view = show()
  const boxes = view.findAll<HTMLInputElement>('input[type=checkbox]')
  expect(boxes.map(({ element }) => element.checked)).toEqual([true, false])
  expect(view.text()).toContain('LESA on long.txt: 1.5536 (95 %: 1.532–1.575), 19,608 tokens')
  expect(view.text()).toContain('36,247')
  await boxes[0]?.setValue(false)
  expect(chosen.value).toEqual([])
  await boxes[1]?.setValue(true)
  expect(chosen.value).toEqual(['tiny'])
})
