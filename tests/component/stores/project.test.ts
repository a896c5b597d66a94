import { AppError } from '@shared/errors'
import type { ProjectView } from '@shared/projects'
import { DEFAULT_SETTINGS } from '@shared/settings'
import { flushPromises } from '@vue/test-utils'
import { beforeEach, describe, expect, it } from 'vitest'
import { useAppStore } from '../../../src/renderer/src/stores/app'
import { useChooserStore } from '../../../src/renderer/src/stores/chooser'
import { useModelStore } from '../../../src/renderer/src/stores/model'
import { useJobsStore } from '../../../src/renderer/src/stores/jobs'
import { useProjectStore } from '../../../src/renderer/src/stores/project'
import { useSettingsStore } from '../../../src/renderer/src/stores/settings'
import { activatePinia, FakeTransport, type Answers } from '../../support/fakeTransport'
import { snapshot, told } from '../../support/handlers'
import { PROJECT_ID, projectView } from '../../support/projects'
import { appInfo, modelSummary } from '../../support/summaries'

function setUp(answers: Answers): FakeTransport {
  const transport = new FakeTransport(answers)
  activatePinia(transport)
  return transport
}

beforeEach(() => {
  localStorage.clear()
  delete document.documentElement.dataset['theme']
})

describe('the project', () => {
  it('that was asked for last is shown, whichever answer comes last', async () => {
    const answers = new Map<string, (view: ProjectView) => void>()
    setUp({ 'projects:get': (id) => new Promise((resolve) => answers.set(id, resolve)) })
    const store = useProjectStore()
    const [slow, fast] = [store.load('a'.repeat(16)), store.load('b'.repeat(16))]
    answers.get('b'.repeat(16))?.(projectView({ id: 'b'.repeat(16) }))
    await fast
    answers.get('a'.repeat(16))?.(projectView({ id: 'a'.repeat(16) }))
    await slow
    expect(store.id).toBe('b'.repeat(16))
    expect(store.isLoading).toBe(false)
  })

  it('says why it cannot be shown', async () => {
    setUp({
      'projects:get': () => {
        throw new AppError('not_found', 'It is not open.')
      },
    })
    const store = useProjectStore()
    await store.load(PROJECT_ID)
    expect(store.view).toBeNull()
    expect(store.error?.code).toBe('not_found')
  })

  it('follows changes to itself, not to others', async () => {
    const transport = setUp({ 'projects:open': () => projectView() })
    const store = useProjectStore()
    await store.open('/somewhere')
    transport.push('projects:changed', projectView({ name: 'Renamed' }))
    expect(store.view?.name).toBe('Renamed')
    transport.push('projects:changed', projectView({ id: 'f'.repeat(16), name: 'Other' }))
    expect(store.view?.name).toBe('Renamed')
  })

  it('has a model only where there is one to read', async () => {
    const path = '/models/base'
    const models: [ProjectView['model'], boolean][] = [
      [{ state: 'ready', path, name: 'base', summary: modelSummary() }, true],
      [{ state: 'changed', path, name: 'base', summary: modelSummary() }, true],
      [{ state: 'missing', path, name: 'base' }, false],
      [
        { state: 'broken', path, name: 'base', error: { code: 'bad_checkpoint', message: 'Cut.' } },
        false,
      ],
    ]
    for (const [model, hasModel] of models) {
      setUp({ 'projects:open': () => projectView({ model }) })
      const store = useProjectStore()
      await store.open('/somewhere')
      expect(store.model !== null, model.state).toBe(hasModel)
    }
  })

  it('is forgotten once it is deleted', async () => {
    setUp({
      'projects:open': () => projectView(),
      'projects:delete': () => ({ movedTo: '/trash/Demo' }),
    })
    const store = useProjectStore()
    await store.open('/somewhere')
    expect(await store.remove()).toBe('/trash/Demo')
    expect(store.view).toBeNull()
  })
})

describe('the statistics of a model', () => {
  const ready = {
    state: 'ready' as const,
    statistics: {
      layers: 1,
      layerPrefix: 'l.',
      rows: [],
      others: [],
      damaged: [],
      damagedCount: 0,
    },
  }
  const job = { ...snapshot, spec: { kind: 'statistics' as const, model: '/m', file: '/s.json' } }

  async function compute(answers: Answers = {}) {
    let isReady = false
    const transport = setUp({
      'models:inspect': (path) => modelSummary({ path }),
      'models:statistics': () => (isReady ? ready : { state: 'absent' }),
      'models:computeStatistics': () => job,
      'jobs:list': () => [job],
      ...answers,
    })
    const store = useModelStore()
    useJobsStore()
    await store.open('/m')
    await store.loadStatistics()
    expect(store.statistics.value).toEqual({ state: 'absent' })
    await store.computeStatistics()
    expect(store.statisticsJob?.id).toBe(job.id)
    return {
      store,
      end: async (state: 'succeeded' | 'failed' | 'cancelled', error?: AppError) => {
        isReady = state === 'succeeded'
        const failure = error ? { error: error.toData() } : {}
        transport.push('jobs:changed', told({ ...job, seq: 9, state, endedAt: 2, ...failure }))
        await flushPromises()
      },
    }
  }

  it('are there when their job has succeeded', async () => {
    const { store, end } = await compute()
    await end('succeeded')
    expect(store.statistics.value).toEqual(ready)
  })

  it('say why when it has failed', async () => {
    const { store, end } = await compute()
    await end('failed', new AppError('bad_checkpoint', 'Truncated.'))
    expect(store.statistics.error?.code).toBe('bad_checkpoint')
  })

  it('can be asked for again when it was cancelled', async () => {
    const { store, end } = await compute()
    await end('cancelled')
    expect(store.statistics.value).toEqual({ state: 'absent' })
  })
})

describe('the theme', () => {
  it('is applied, and kept for the next first paint', async () => {
    setUp({
      'settings:get': () => ({ ...DEFAULT_SETTINGS, theme: 'dark' }),
      'settings:update': (patch) => ({ ...DEFAULT_SETTINGS, theme: patch.theme ?? 'dark' }),
    })
    const store = useSettingsStore()
    await store.load()
    await flushPromises()
    expect(document.documentElement.dataset['theme']).toBe('dark')
    expect(localStorage.getItem('lesa.theme')).toBe('dark')
    await store.update({ theme: 'auto' })
    await flushPromises()
    expect(document.documentElement.dataset['theme']).toBeUndefined()
    expect(localStorage.getItem('lesa.theme')).toBe('auto')
  })

  it('follows another window', async () => {
    const transport = setUp({ 'settings:get': () => DEFAULT_SETTINGS })
    const store = useSettingsStore()
    await store.load()
    transport.push('settings:changed', { ...DEFAULT_SETTINGS, theme: 'light' })
    await flushPromises()
    expect(document.documentElement.dataset['theme']).toBe('light')
  })
})

describe('choosing a folder', () => {
  it('uses the native dialog where there is one, with its purpose', async () => {
    const transport = setUp({
      'app:info': () => appInfo({ host: 'electron' }),
      'devices:list': () => [],
      'folders:choose': () => '/chosen',
    })
    await useAppStore().load()
    expect(await useChooserStore().folder({ title: 'x', purpose: 'model' })).toBe('/chosen')
    expect(transport.calls.at(-1)).toEqual({ name: 'folders:choose', args: ['model'] })
  })

  it('asks the picker in a browser, and opens what was chosen there', async () => {
    const transport = setUp({
      'app:info': () => appInfo(),
      'devices:list': () => [],
      'folders:open': (path) => `${path}/real`,
    })
    await useAppStore().load()
    const store = useChooserStore()
    const answer = store.folder({ title: 'A model', purpose: 'model' })
    expect(store.request).toMatchObject({ title: 'A model', kind: 'folder', start: null })
    store.request?.resolve('/chosen')
    expect(await answer).toBe('/chosen/real')
    expect(transport.calls.at(-1)).toEqual({ name: 'folders:open', args: ['/chosen'] })

    const dismissed = store.text({ title: 'A text' })
    store.request?.resolve(null)
    expect(await dismissed).toBeNull()
  })
})
