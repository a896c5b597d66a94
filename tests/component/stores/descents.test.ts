import { flushPromises, mount } from '@vue/test-utils'
import type { JobSnapshot } from '@shared/jobs'
import { newJob } from '@shared/jobs'
import { expect, it } from 'vitest'
import { Client, CLIENT } from '../../../src/renderer/src/api/client'
import AddTrainedDialog from '../../../src/renderer/src/components/descent/AddTrainedDialog.vue'
import { useAppStore } from '../../../src/renderer/src/stores/app'
import { useDescentsStore } from '../../../src/renderer/src/stores/descents'
import { useJobsStore } from '../../../src/renderer/src/stores/jobs'
import { useProjectStore } from '../../../src/renderer/src/stores/project'
import { descentResult } from '../../support/descents'
import { activatePinia, FakeTransport, type Answers } from '../../support/fakeTransport'
import { PROJECT_ID, projectView, runSummary } from '../../support/projects'
import { appInfo } from '../../support/summaries'

const start = runSummary({ state: 'succeeded', model: { path: '/grown', bytes: 1 } })
const added = runSummary({
  id: '002-lesa',
  name: 'LESA, trained',
  state: 'succeeded',
  elsewhere: {
    path: '/trained',
    state: 'ready',
    run: start.id,
    runName: 'LESA',
    isTouched: false,
    steps: null,
  },
})
const job: JobSnapshot = newJob(
  'job-9',
  { kind: 'descent', trained: '/trained', start: '/grown' },
  0,
  { project: PROJECT_ID },
)

async function opened(changes: Answers = {}) {
  let runs = [start]
  const transport = new FakeTransport({
    'app:info': () => appInfo({ host: 'electron' }),
    'devices:list': () => [],
    'folders:choose': () => '/trained',
    'projects:get': () => projectView({ runs }),
    'descents:match': (_, path) => ({ path, layers: 18, runs: [start.id], best: start.id }),
    'descents:start': () => job,
    ...changes,
  })
  const pinia = activatePinia(transport)
  await useAppStore().load()
  await useProjectStore().load(PROJECT_ID)
  useJobsStore()
  const store = useDescentsStore()
  const view = mount(AddTrainedDialog, {
    global: {
      plugins: [pinia],
      provide: { [CLIENT as symbol]: new Client(transport) },
      stubs: { RouterLink: { template: '<span><slot :navigate="() => {}" /></span>' } },
    },
  })
  await store.choose('Choose')
  await flushPromises()
  const end = async (state: JobSnapshot['state']): Promise<void> => {
    runs = [added, start]
    await useProjectStore().load(PROJECT_ID)
    const result = state === 'succeeded' ? { result: descentResult() } : {}
    const snapshot = { ...job, state, endedAt: 2, ...result }
    transport.push('jobs:changed', { job: job.id, seq: 0, events: [], snapshot })
    await flushPromises()
  }
  const button = (text: string) => view.findAll('button').find((one) => one.text() === text)
  return { transport, store, view, button, end }
}

it('takes the run that the folder tells of, compares, and says what was found', async () => {
  const { transport, store, view, button, end } = await opened()
  expect(view.get('select').element.value).toBe(start.id)
  await button('Compare and add')?.trigger('click')
  await flushPromises()
  expect(transport.calls.at(-1)).toEqual({
    name: 'descents:start',
    args: [PROJECT_ID, { path: '/trained', run: start.id }],
  })
  expect(store.isComparing).toBe(true)
  expect(button('Compare and add')?.attributes('disabled')).toBeDefined()
  await end('succeeded')
  expect(view.text()).toContain('Added as “LESA, trained”')
  expect(view.text()).toContain('every original weight is bit-identical')
  expect(button('Show what changed')).toBeDefined()
  store.close()
  await flushPromises()
  expect(view.find('select').exists()).toBe(false)
})

it('asks which run where nothing tells, and says when none can be', async () => {
  const undecided = await opened({
    'descents:match': (_, path) => ({ path, layers: 18, runs: [start.id], best: null }),
  })
  expect(undecided.view.get('select').element.value).toBe('')
  expect(undecided.button('Compare and add')?.attributes('disabled')).toBeDefined()
  await undecided.view.get('select').setValue(start.id)
  expect(undecided.button('Compare and add')?.attributes('disabled')).toBeUndefined()
  const none = await opened({
    'descents:match': (_, path) => ({ path, layers: 20, runs: [], best: null }),
  })
  expect(none.view.text()).toContain('no grown model of this project has as many')
})

it('says why a comparison failed, and can be asked again', async () => {
  const { view, button, transport } = await opened()
  await button('Compare and add')?.trigger('click')
  await flushPromises()
  const error = { code: 'shape_mismatch', message: 'It is another model.' } as const
  const snapshot: JobSnapshot = { ...job, state: 'failed', endedAt: 2, error }
  transport.push('jobs:changed', { job: job.id, seq: 0, events: [], snapshot })
  await flushPromises()
  expect(view.text()).toContain('It is another model.')
  expect(button('Compare and add')?.attributes('disabled')).toBeUndefined()
})
