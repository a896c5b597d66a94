import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import type { Comparison, CompareRow, Perplexity } from '@shared/projects'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import CompareView from '../../../../src/renderer/src/views/compare/CompareView.vue'
import { FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView, runSummary } from '../../../support/projects'
import { appInfo, modelSummary } from '../../../support/summaries'

let view: VueWrapper
let transport: FakeTransport

const LONG = 'a'.repeat(16)
const SHORT = 'b'.repeat(16)

function measured(subject: string, changes: Partial<Perplexity>): Perplexity {
  return {
    subject,
    text: LONG,
    context: 192,
    perLine: false,
    perplexity: 1.5,
    tokens: 19_608,
    predicted: 19_500,
    standardError: 0.01,
    losses: null,
    againstBase: null,
    seconds: 1,
    device: 'cpu',
    measuredAt: 1,
    ...changes,
  }
}

function row(subject: string, perplexities: readonly Perplexity[], layers: number): CompareRow {
  return {
    subject,
    name: subject,
    method: subject === 'base' ? null : 'neighbour-mean',
    layers,
    newLayers: 0,
    parameters: 1,
    bytes: 2,
    seconds: null,
    device: null,
    perplexities,
    quality: null,
    trainedSteps: null,
    isTrainedElsewhere: false,
    verdict: null,
    settings: {},
  }
}

const measurement = (
  text: string,
  name: string,
  tokens: number,
): Comparison['measurements'][0] => ({
  text,
  name,
  context: 192,
  perLine: false,
  tokens,
})

function comparison(withShort: boolean): Comparison {
  const short = withShort
    ? [measured('base', { text: SHORT, perplexity: 2623, tokens: 4, measuredAt: 9 })]
    : []
  return {
    rows: [
      row('base', [measured('base', {}), ...short], 12),
      row('001-neighbour-mean', [measured('001-neighbour-mean', {})], 15),
      row('002-neighbour-mean', [], 18),
    ],
    vocabularySize: 512,
    settings: [],
    measurements: [
      measurement(LONG, 'eval.txt', 19_608),
      ...(withShort ? [measurement(SHORT, 'kurz.txt', 4)] : []),
    ],
  }
}

let now = comparison(false)

async function show(first: Comparison): Promise<void> {
  now = first
  transport = new FakeTransport({
    'app:info': () => appInfo(),
    'devices:list': () => [],
    'jobs:list': () => [],
    'projects:get': () => projectView(),
    'projects:compare': () => now,
  })
  const pinia = createPinia()
  setActivePinia(pinia)
  view = mount(CompareView, {
    attachTo: document.body,
    global: {
      plugins: [pinia],
      provide: { [CLIENT as symbol]: new Client(transport) },
      stubs: { RouterLink: { template: '<a />' } },
    },
  }) as VueWrapper
  await useProjectStore().load(PROJECT_ID)
  await flushPromises()
}

afterEach(() => view.unmount())

const shownMeasurement = (): string => {
  const select = view.findAll('select').find((one) => one.text().includes('Perplexity,'))
  const element = select?.element as HTMLSelectElement | undefined
  return element?.selectedOptions[0]?.textContent ?? ''
}

it('shows what has just been measured, with its tokens and what it cannot be used for', async () => {
  await show(comparison(false))
  expect(shownMeasurement()).toContain('eval.txt')
  expect(view.text()).toContain('19,608 tokens')
  expect(view.text()).not.toContain('has only')
  now = comparison(true)
  transport.push('projects:changed', projectView())
  await flushPromises()
  expect(shownMeasurement()).toContain('kurz.txt')
  expect(view.text()).toContain('“kurz.txt” has only 4 tokens')
  expect(view.text()).toContain('no better than guessing among all 512 tokens')
})

it('keeps the measurement that was chosen until there is a newer one', async () => {
  await show(comparison(true))
  const select = view.findAll('select').find((one) => one.text().includes('Perplexity,'))
  await select?.setValue(`${LONG}/192/text`)
  transport.push('projects:changed', projectView({ notes: 'new' }))
  await flushPromises()
  expect(shownMeasurement()).toContain('eval.txt')
})

it('says in a sentence what the numbers say', async () => {
  // Of before losses were kept: what is missing is said.
  await show(comparison(false))
  expect(view.text()).toContain('its loss window by window is not known')
  expect(view.text()).toContain('Measure again to have differences and intervals.')

  const windowTokens = Array.from({ length: 40 }, () => 100)
  const losses = (nats: number) => ({
    windowNll: windowTokens.map((tokens, index) => tokens * (nats + 0.001 * (index % 7))),
    windowTokens,
  })
  const of = (nats: number): Comparison => {
    const all = comparison(false)
    const [base, mean] = all.rows
    return {
      ...all,
      rows: [
        ...(base ? [{ ...base, perplexities: [measured('base', { losses: losses(0.4) })] }] : []),
        ...(mean
          ? [{ ...mean, perplexities: [measured(mean.subject, { losses: losses(nats) })] }]
          : []),
      ],
    }
  }
  await show(of(0.5))
  expect(view.text()).toContain('001-neighbour-mean is worse than the base')
  const cells = view.findAll('tbody td').map((cell) => cell.text())
  expect(cells.some((cell) => /^\+0\.10+ .*worse$/.test(cell))).toBe(true)
  view.unmount()
  await show(of(0.3))
  expect(view.text()).toContain('001-neighbour-mean is better than the base')
  view.unmount()
  await show(of(0.4))
  expect(view.text()).toMatch(/001-neighbour-mean is the same as the base/)
  expect(view.find('td.best').exists()).toBe(false)
})

it('warns of measuring a start on the text that it was fitted to', async () => {
  await show(comparison(false))
  const project = useProjectStore()
  const calibration = { text: { text: LONG } }
  const fitted = runSummary({ id: '001-neighbour-mean', name: 'Fitted to a' })
  project.accept(
    projectView({
      texts: [
        { id: LONG, name: 'a.txt', bytes: 9, exists: true },
        { id: SHORT, name: 'b.txt', bytes: 9, exists: true },
      ],
      runs: [{ ...fitted, settings: { ...fitted.settings, calibration } }],
    }),
  )
  await flushPromises()
  const warning = 'Fitted to a was fitted to this text'
  const choose = async (id: string): Promise<void> => {
    const select = view.findAll('select').find((one) => one.text().includes('a.txt ('))
    await select?.setValue(id)
  }
  await choose(LONG)
  expect(view.text()).toContain(warning)
  await choose(SHORT)
  expect(view.text()).not.toContain(warning)
})

it('cannot measure a model without a tokenizer, and says why', async () => {
  await show(comparison(false))
  const measure = () => view.findAll('button').find((one) => one.text().startsWith('Measure '))
  const project = useProjectStore()
  project.accept(projectView({ texts: [{ id: LONG, name: 'a.txt', bytes: 9, exists: true }] }))
  await flushPromises()
  expect(measure()?.attributes('disabled')).toBeUndefined()
  const summary = { ...modelSummary(), has_tokenizer: false }
  project.accept(
    projectView({
      texts: [{ id: LONG, name: 'a.txt', bytes: 9, exists: true }],
      model: { state: 'ready', path: summary.path, name: 'base', summary },
    }),
  )
  await flushPromises()
  expect(view.text()).toContain('has no tokenizer: perplexity cannot be measured')
  expect(measure()?.attributes('disabled')).toBeDefined()
})

it.each([
  ['512', null],
  ['1.5', 'A whole number from 2'],
  ['1', 'A whole number from 2'],
  ['1,024', 'Write 1024'],
])('takes tokens per window as they are typed: %s', async (typed, complaint) => {
  await show(comparison(false))
  const label = view.findAll('label').find((one) => one.text() === 'Tokens per window')
  await view.get(`#${label?.attributes('for')}`).setValue(typed)
  expect(view.text().includes(complaint ?? 'A whole number from 2')).toBe(complaint !== null)
})

it('says that depths differ, and nothing of errors that nobody has', async () => {
  await show(comparison(false))
  expect(view.text()).toContain('different depths (15, 18 layers)')
  expect(view.text()).not.toContain('Errors are geometric means')
  const boxes = view.findAll('tbody input[type=checkbox]')
  await boxes[2]?.setValue(false)
  expect(view.text()).not.toContain('different depths')
})
