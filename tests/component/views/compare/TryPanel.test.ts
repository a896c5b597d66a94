import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { newJob, type GenerateResult, type JobSnapshot, type NextToken } from '@shared/jobs'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import TryPanel from '../../../../src/renderer/src/views/compare/TryPanel.vue'
import { FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView } from '../../../support/projects'
import { generateSpec } from '../../../support/specs'
import { appInfo } from '../../../support/summaries'

let view: VueWrapper
let transport: FakeTransport

const SUBJECTS = ['base', '001-solar']

const token = (id: number, text: string, probability: number): NextToken => ({
  id,
  text,
  probability,
})

const continuation = (model: string, tokens: readonly NextToken[]) => ({
  model,
  num_hidden_layers: 12,
  text: tokens.map(({ text }) => text).join(''),
  tokens,
  end: 'tokens' as const,
  prompt_tokens: 3,
  resident: true,
  seconds_per_token: 0.0123,
  seconds: 1,
})

/** The models agree on the first token, and not on the second. */
const RESULT: GenerateResult = {
  kind: 'generate',
  continuations: [
    continuation('/base', [token(1, ' was', 0.9), token(2, ' red', 0.5)]),
    continuation('/grown', [token(1, ' was', 0.8), token(3, ' blue', 0.6)]),
  ],
  comparison: {
    models: [0, 1],
    places: [
      {
        id: 1,
        text: ' was',
        differs: false,
        models: [
          { probability: 0.9, next: [token(1, ' was', 0.9), token(4, ' is', 0.05)] },
          { probability: 0.8, next: [token(1, ' was', 0.8), token(4, ' is', 0.1)] },
        ],
      },
      {
        id: 2,
        text: ' red',
        differs: true,
        models: [
          { probability: 0.5, next: [token(2, ' red', 0.5), token(3, ' blue', 0.4)] },
          { probability: 0.0004, next: [token(3, ' blue', 0.6), token(5, '\n', 0.2)] },
        ],
      },
    ],
  },
}

let job: JobSnapshot

beforeEach(async () => {
  const spec = generateSpec({ models: ['/base', '/grown'], prompt: 'The ball' })
  job = { ...newJob('job-1', spec, 1, { project: PROJECT_ID }), state: 'running', startedAt: 2 }
  transport = new FakeTransport({
    'app:info': () => appInfo(),
    'devices:list': () => [],
    'jobs:list': () => [],
    'projects:get': () => projectView(),
    'continuations:start': () => job,
    'jobs:cancel': () => ({ ...job, state: 'cancelling' }),
  })
  const pinia = createPinia()
  setActivePinia(pinia)
  sessionStorage.clear()
  view = mount(TryPanel, {
    attachTo: document.body,
    props: { subjects: SUBJECTS },
    global: { plugins: [pinia], provide: { [CLIENT as symbol]: new Client(transport) } },
  }) as VueWrapper
  await useProjectStore().load(PROJECT_ID)
  await flushPromises()
})

afterEach(() => view.unmount())

const button = (text: string) => view.findAll('button').find((one) => one.text().includes(text))
const field = (label: string) => {
  const id = view
    .findAll('label')
    .find((one) => one.text() === label)
    ?.attributes('for')
  return view.find(`[id="${id}"]`)
}
const isDisabled = (text: string): boolean => button(text)?.attributes('disabled') !== undefined
const asked = (): unknown =>
  transport.calls.findLast(({ name }) => name === 'continuations:start')?.args[1]

async function push(snapshot: JobSnapshot): Promise<void> {
  transport.push('jobs:changed', { job: snapshot.id, seq: snapshot.seq, events: [], snapshot })
  await flushPromises()
}

it('asks for the likeliest tokens, or for drawn ones with what was typed', async () => {
  expect(isDisabled('Continue with 2 models')).toBe(true)
  await field('Text to continue').setValue('The ball')
  await button('Continue with 2 models')?.trigger('click')
  expect(asked()).toEqual({
    subjects: SUBJECTS,
    prompt: 'The ball',
    tokens: 48,
    temperature: 0,
    seed: 0,
    device: 'auto',
  })
  await view.find('input[value="sampled"]').setValue()
  await field('Temperature').setValue('0,7')
  await field('Top-k').setValue('40')
  await field('Seed').setValue('5')
  await field('Tokens').setValue('12')
  await button('Continue with 2 models')?.trigger('click')
  expect(asked()).toEqual({
    subjects: SUBJECTS,
    prompt: 'The ball',
    tokens: 12,
    temperature: 0.7,
    topK: 40,
    seed: 5,
    device: 'auto',
  })
})

it.each([
  ['Tokens', '0'],
  ['Temperature', '0'],
  ['Top-k', '1.5'],
  ['Top-p', '1.1'],
  ['Seed', '-1'],
])('does not start with %s %s, and says why', async (label, text) => {
  await field('Text to continue').setValue('The ball')
  await view.find('input[value="sampled"]').setValue()
  expect(isDisabled('Continue')).toBe(false)
  await field(label).setValue(text)
  expect(isDisabled('Continue')).toBe(true)
  expect(field(label).attributes('aria-invalid')).toBe('true')
  expect(view.text()).toMatch(/Give a (?:whole )?number/)
})

it('tries as many models as a job takes', async () => {
  await field('Text to continue').setValue('The ball')
  await view.setProps({ subjects: Array.from({ length: 9 }, (_, index) => `00${index}-solar`) })
  expect(view.text()).toContain('Only the first 8 of the chosen models are tried.')
  await view.setProps({ subjects: [] })
  expect(view.text()).toContain('Choose models in the table.')
})

it('shows texts as they come, and can be stopped', async () => {
  await field('Text to continue').setValue('The ball')
  await push({ ...job, texts: { 'text/0': ' was', 'text/1': '' } })
  const [first, second] = view.findAll('article')
  expect(first?.text()).toContain('The ball was')
  expect(second?.text()).toContain('Not begun')
  expect(isDisabled('Continue')).toBe(true)
  await button('Stop')?.trigger('click')
  expect(transport.calls.at(-1)).toEqual({ name: 'jobs:cancel', args: ['job-1'] })
  await push({ ...job, seq: 1, state: 'cancelled', endedAt: 3, texts: { 'text/0': ' was' } })
  expect(view.text()).toContain('Stopped. What was written until then:')
  expect(view.findAll('article')[0]?.text()).toContain('The ball was')
})

it('marks where models differ, and shows what each would write there', async () => {
  await push({ ...job, seq: 1, state: 'succeeded', endedAt: 3, result: RESULT })
  expect(view.text()).toContain('differs at 1 of 2 places')
  const tokens = view.findAll('[role="option"]')
  expect(tokens.map((one) => one.classes('differs'))).toEqual([false, true])
  expect(tokens[1]?.attributes('aria-label')).toBe('Token 2:  red, models differ')
  expect(view.find('.parts').text()).toBe('blue')
  // The first place where they differ, before anything is pointed at.
  expect(view.text()).toContain('After “The ball was”:')
  const cells = (): string[] => view.findAll('tbody td').map((one) => one.text())
  expect(cells()).toEqual([
    expect.stringMatching(/red\s*50 %/),
    expect.stringMatching(/blue\s*40 %/),
    '50 %',
    expect.stringMatching(/blue\s*60 %/),
    expect.stringMatching(/⏎\s*20 %/),
    '< 0.1 %',
  ])
  await tokens[0]?.trigger('mouseenter')
  expect(view.text()).toContain('After “The ball”:')
  expect(cells()[0]).toMatch(/was\s*90 %/)
  await tokens[0]?.trigger('keydown', { key: 'ArrowRight' })
  expect(document.activeElement).toBe(tokens[1]?.element)
  expect(view.text()).toContain('After “The ball was”:')
})

it('says of another tokenizer’s text that it cannot be compared', async () => {
  const comparison = {
    models: [0],
    places: RESULT.comparison.places.map((place) => ({
      ...place,
      differs: false,
      models: place.models.slice(0, 1),
    })),
  }
  await push({ ...job, seq: 1, state: 'succeeded', endedAt: 3, result: { ...RESULT, comparison } })
  expect(view.findAll('article')[1]?.text()).toContain('another tokenizer')
  expect(view.text()).not.toContain('likeliest next token')
  expect(view.findAll('tbody tr')).toHaveLength(1)
})

it('tells why nothing was written', async () => {
  const error = { code: 'bad_request' as const, message: 'The prompt has 500 tokens.' }
  await push({ ...job, seq: 1, state: 'failed', endedAt: 3, error })
  expect(view.text()).toContain('The text could not be continued')
  expect(view.text()).toContain('The prompt has 500 tokens.')
})
