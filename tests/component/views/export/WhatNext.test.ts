import { flushPromises, mount } from '@vue/test-utils'
import type { RecipeMachine, RecipeOverview } from '@shared/recipes'
import { RECIPE_MACHINES } from '@shared/recipes'
import { expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import WhatNext from '../../../../src/renderer/src/views/export/WhatNext.vue'
import { activatePinia, FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView } from '../../../support/projects'

const GPUS: Readonly<Record<RecipeMachine, number>> = { one_gpu: 1, several_gpus: 8, cluster: 16 }

const overview: RecipeOverview = {
  folder: '/out/recipes',
  files: ['README.md', 'train.py'],
  context: 2048,
  recipes: RECIPE_MACHINES.map((machine) => ({
    machine,
    command: `command of ${machine}`,
    memory: {
      gpus: GPUS[machine],
      frozen: 8e9,
      trained: 4e9,
      optimizer: 2e9,
      activations: 1e9,
      total: 15e9,
    },
  })),
}

async function show(answer: RecipeOverview | null) {
  const transport = new FakeTransport({
    'projects:get': () => projectView(),
    'exports:recipes': () => answer,
  })
  const pinia = activatePinia(transport)
  await useProjectStore().load(PROJECT_ID)
  const view = mount(WhatNext, {
    props: { run: '001-lesa', out: '/out' },
    global: {
      plugins: [pinia],
      provide: { [CLIENT as symbol]: new Client(transport) },
      stubs: { RouterLink: { template: '<span />' } },
    },
  })
  await flushPromises()
  return { view, transport }
}

it('has a command and its memory for each machine, and says where the files lie', async () => {
  const { view, transport } = await show(overview)
  expect(transport.calls.at(-1)).toEqual({
    name: 'exports:recipes',
    args: [PROJECT_ID, '001-lesa', '/out'],
  })
  expect(view.text()).toContain('command of one_gpu')
  expect(view.text()).toContain('Memory of the GPU')
  expect(view.text()).toContain('15.0 GB')
  expect(view.text()).toContain('a window of 2,048 tokens')
  const tabs = view.findAll('[role=tab]')
  expect(tabs.map((tab) => tab.text())).toEqual(['One GPU', 'Several GPUs', 'A cluster'])
  await tabs[2]?.trigger('click')
  expect(view.text()).toContain('command of cluster')
  expect(view.text()).toContain('Memory of each of 16 GPUs')
  expect(view.text()).toContain('README.md, train.py')
})

it('is not there where an export has no recipes', async () => {
  const { view } = await show(null)
  expect(view.text()).toBe('')
})
