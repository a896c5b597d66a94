import type { CachedModel } from '@shared/hub'
import { flushPromises, mount } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import { Client, CLIENT } from '../../../src/renderer/src/api/client'
import CachedModels from '../../../src/renderer/src/components/CachedModels.vue'
import { FakeTransport } from '../../support/fakeTransport'

const model = (changes: Partial<CachedModel>): CachedModel => ({
  repository: 'org/tiny',
  revision: '8faed761d45a263340a0528343f099c05c9a4323',
  refs: ['main'],
  path: '/hub/models--org--tiny/snapshots/8faed761',
  layers: 12,
  modelType: 'llama',
  bytes: 4_000_000,
  missing: [],
  problem: null,
  ...changes,
})

async function show(models: readonly CachedModel[], props: { quiet?: boolean } = {}) {
  const client = new Client(
    new FakeTransport({ 'models:cached': () => ({ folder: '/hub', models }) }),
  )
  const wrapper = mount(CachedModels, {
    props,
    global: { provide: { [CLIENT as symbol]: client } },
  })
  await flushPromises()
  return wrapper
}

describe('the models in the cache', () => {
  it('are named as on the hub, with layers, size and revision, and chosen by their folder', async () => {
    const list = await show([model({})])
    expect(list.text()).toContain('org/tiny')
    expect(list.text()).toContain('12 layers · 4.00 MB')
    expect(list.text()).toContain('main · 8faed761')
    await list.get('button').trigger('click')
    expect(list.emitted('choose')).toEqual([['/hub/models--org--tiny/snapshots/8faed761']])
  })

  it('cannot be chosen while files are missing, and say so', async () => {
    const list = await show([model({ problem: 'Incomplete: 1 file is missing.' })])
    expect(list.get('button').attributes('disabled')).toBeDefined()
    expect(list.text()).toContain('Incomplete: 1 file is missing.')
  })

  it('are nothing to speak of where there are none', async () => {
    expect((await show([])).text()).toContain('/hub')
    expect((await show([], { quiet: true })).text()).toBe('')
  })
})
