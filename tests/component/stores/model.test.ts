import { AppError } from '@shared/errors'
import type { ModelSummary } from '@shared/model'
import { describe, expect, it } from 'vitest'
import { useModelStore } from '../../../src/renderer/src/stores/model'
import { activatePinia, FakeTransport, type Answers } from '../../support/fakeTransport'
import { appInfo, modelSummary } from '../../support/summaries'

function setUp(answers: Answers): FakeTransport {
  const transport = new FakeTransport({
    'app:info': () => appInfo(),
    'devices:list': () => [],
    ...answers,
  })
  activatePinia(transport)
  return transport
}

describe('opening a model', () => {
  it('shows what it is, under its real path', async () => {
    setUp({ 'models:inspect': () => modelSummary({ path: '/real/base' }) })
    const store = useModelStore()
    await store.open(' /linked/base ')
    expect(store.summary).toMatchObject({ num_hidden_layers: 12 })
    expect(store.path).toBe('/real/base')
    expect(store.isLoading).toBe(false)
  })

  it('shows why it cannot be opened, and forgets the one before', async () => {
    setUp({
      'models:inspect': (path) => {
        if (path === '/bad') throw new AppError('bad_checkpoint', 'Truncated.')
        return modelSummary({ path })
      },
    })
    const store = useModelStore()
    await store.open('/good')
    await store.open('/bad')
    expect(store.summary).toBeNull()
    expect(store.error?.code).toBe('bad_checkpoint')
    await store.open('/good')
    expect(store.error).toBeNull()
  })

  it('is not overtaken by the answer for an earlier one', async () => {
    const answers = new Map<string, (summary: ModelSummary) => void>()
    setUp({
      'models:inspect': (path) => new Promise((resolve) => answers.set(path, resolve)),
    })
    const store = useModelStore()
    const [slow, fast] = [store.open('/slow'), store.open('/fast')]
    answers.get('/fast')?.(modelSummary({ path: '/fast' }))
    await fast
    answers.get('/slow')?.(modelSummary({ path: '/slow' }))
    await slow
    expect(store.summary?.path).toBe('/fast')
    expect(store.path).toBe('/fast')
  })

  it('asks for nothing when nothing was typed', async () => {
    const transport = setUp({})
    await useModelStore().open('   ')
    expect(transport.calls).toEqual([])
  })
})
