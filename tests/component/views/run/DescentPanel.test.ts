import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import type { DescentResult } from '@shared/jobs'
import type { RunSummary } from '@shared/projects'
import { expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import DescentPanel from '../../../../src/renderer/src/views/run/DescentPanel.vue'
import { descentResult, layerChange } from '../../../support/descents'
import { activatePinia, FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView, runSummary } from '../../../support/projects'

const elsewhere = {
  path: '/trained',
  state: 'ready',
  run: '001-lesa',
  runName: 'LESA',
  isTouched: false,
  steps: null,
} as const

async function show(
  result: DescentResult,
  changes: Partial<NonNullable<RunSummary['elsewhere']>> = {},
): Promise<VueWrapper> {
  const run = runSummary({ id: '002-lesa', elsewhere: { ...elsewhere, ...changes } })
  const transport = new FakeTransport({
    'projects:get': () => projectView({ runs: [run] }),
    'descents:get': () => result,
  })
  const pinia = activatePinia(transport)
  await useProjectStore().load(PROJECT_ID)
  const view = mount(DescentPanel, {
    props: { run },
    global: { plugins: [pinia], provide: { [CLIENT as symbol]: new Client(transport) } },
  })
  await flushPromises()
  return view as VueWrapper
}

it('says how far each layer moved, in a picture and as numbers', async () => {
  const view = await show(descentResult())
  expect(view.text()).toContain('All 2 new layers were changed, by 10 to 20 % of their norm')
  expect(view.get('.surface').attributes('aria-label')).toContain('each of 4 layers')
  expect(view.text()).not.toContain('An original weight was changed')
  const table = view.findAll('button').find((button) => button.text() === 'Table')
  await table?.trigger('click')
  const rows = view.findAll('tbody tr').map((row) => row.findAll('td, th').map((c) => c.text()))
  expect(rows[1]).toEqual(['1', 'new', '1', '10', '0.100', '0', '10'])
  expect(rows[0]?.slice(0, 2)).toEqual(['0', 'original'])
})

it('says plainly that an original layer was touched', async () => {
  const layers = [
    layerChange(0, { relative: 0.01 }),
    layerChange(1, { isNew: true, relative: 0.1 }),
  ]
  const view = await show(descentResult({ layers, new_layers: [1] }))
  expect(view.text()).toContain('An original weight was changed')
  expect(view.text()).toContain('original layer 0 was changed too')
  expect(view.text()).toContain('original layer that was changed')
})

it('says when the folder is not what it was', async () => {
  const changed = await show(descentResult(), { state: 'changed' })
  expect(changed.text()).toContain('Its folder holds other weights than it did')
  const missing = await show(descentResult(), { state: 'missing' })
  expect(missing.text()).toContain('Its folder is not where it was')
})
