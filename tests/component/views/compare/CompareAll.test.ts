import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import type { ComparisonRequest, MethodComparison } from '@shared/comparisons'
import { DEFAULT_DRAFT, runSettingsOf, type ProjectText } from '@shared/projects'
import type { StartChoice } from '@shared/trainings'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import CompareAllButton from '../../../../src/renderer/src/components/compareAll/CompareAllButton.vue'
import CompareAllProgress from '../../../../src/renderer/src/components/compareAll/CompareAllProgress.vue'
import { useCompareAllStore } from '../../../../src/renderer/src/stores/compareAll'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import { FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView, runSummary } from '../../../support/projects'

const like = runSettingsOf(DEFAULT_DRAFT)
const textOf = (letter: string, name: string): ProjectText => ({
  id: letter.repeat(16),
  name,
  bytes: 10_000,
  exists: true,
})
const WHOLE = textOf('a', 'whole.txt')
const PARTS = [textOf('b', 'whole, first half.txt'), textOf('c', 'whole, second half.txt')] as const

let wrapper: VueWrapper

async function show(component: unknown, comparison: MethodComparison | null = null) {
  const asked: ComparisonRequest[] = []
  const choices: StartChoice[] = [
    { method: 'lesa', isCompared: true, state: 'grown', run: '001-lesa' },
    { method: 'fitted', isCompared: false, state: 'missing', settings: like },
    { method: 'solar', isCompared: true, state: 'impossible', reason: 'SOLAR: it cannot.' },
    { method: 'stack', isCompared: false, state: 'missing', settings: like },
  ]
  const transport = new FakeTransport({
    'projects:get': () =>
      projectView({ texts: [WHOLE], comparison, runs: [runSummary({ state: 'succeeded' })] }),
    'trainings:starts': () => choices,
    'projects:splitText': () => ({
      project: projectView({ texts: [WHOLE, ...PARTS] }),
      parts: [...PARTS],
    }),
    'comparisons:start': (_id, request) => {
      asked.push(request)
      return projectView()
    },
  })
  const pinia = createPinia()
  setActivePinia(pinia)
  wrapper = mount(component as typeof CompareAllButton, {
    attachTo: document.body,
    props: { like },
    global: { plugins: [pinia], provide: { [CLIENT as symbol]: new Client(transport) } },
  }) as VueWrapper
  await useProjectStore().load(PROJECT_ID)
  await flushPromises()
  return asked
}

const button = (name: string) => wrapper.findAll('button').find((one) => one.text() === name)

afterEach(() => wrapper.unmount())

it('asks for a second text where something is fitted, cuts one in two, and says what cannot be', async () => {
  const asked = await show(CompareAllButton)
  await button('Compare all at this depth…')?.trigger('click')
  await flushPromises()
  const text = wrapper.text()
  expect(text).toContain('SOLAR: it cannot.')
  expect(text).toContain('grown already')
  expect(text).not.toContain('Stack')
  expect(button('Compare 2 methods')?.attributes('disabled')).toBeDefined()
  await button('Cut the measured text in two')?.trigger('click')
  await flushPromises()
  expect(button('Compare 2 methods')?.attributes('disabled')).toBeUndefined()
  await button('Compare 2 methods')?.trigger('click')
  await flushPromises()
  expect(asked).toMatchObject([
    {
      methods: ['lesa', 'fitted'],
      text: PARTS[1].id,
      calibration: { text: { text: PARTS[0].id } },
    },
  ])
  expect(asked[0]).not.toHaveProperty('race')
})

it('never fits to the text that it measures on', async () => {
  await show(CompareAllButton)
  await button('Compare all at this depth…')?.trigger('click')
  await flushPromises()
  const store = useCompareAllStore()
  store.seen = { text: WHOLE.id }
  await flushPromises()
  expect(store.request).toBeNull()
  expect(wrapper.text()).toContain('cannot be the one that is measured on')
  // Without the method that is fitted, one text is enough.
  store.toggle('fitted')
  expect(store.request).toMatchObject({ methods: ['lesa'], text: WHOLE.id })
})

it('shows what is done and what waits as one thing, and why something is missing', async () => {
  await show(CompareAllProgress, {
    request: { like, methods: ['lesa', 'solar'], text: WHOLE.id, device: 'auto' },
    state: 'interrupted',
    runs: ['001-lesa'],
    impossible: [{ method: 'solar', reason: 'SOLAR: it cannot.' }],
    training: null,
    measured: { done: 0, all: 2, job: null },
    error: null,
  })
  const text = wrapper.text()
  expect(text).toContain('The program ended while methods were compared')
  expect(text).toContain('Measuring: 0 of 2 models')
  expect(text).toContain('SOLAR: it cannot.')
  expect(button('Go on')?.exists()).toBe(true)
  expect(button('Stop')).toBeUndefined()
})
