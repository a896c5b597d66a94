import { runSettingsOf } from '@shared/projects'
import { flushPromises, mount } from '@vue/test-utils'
import { expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useChooserStore } from '../../../../src/renderer/src/stores/chooser'
import { usePlanStore } from '../../../../src/renderer/src/stores/plan'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import AlsoPanel from '../../../../src/renderer/src/views/parameters/AlsoPanel.vue'
import { activatePinia, FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView } from '../../../support/projects'
import { modelSummary } from '../../../support/summaries'

const BASE = modelSummary().path

it('takes folders into the draft, each once, and gives them up again', async () => {
  const transport = new FakeTransport({
    'projects:get': (id) => projectView({ id }),
    'projects:update': (id) => projectView({ id }),
    'folders:open': (path) => path,
  })
  const pinia = activatePinia(transport)
  await useProjectStore().load(PROJECT_ID)
  const view = mount(AlsoPanel, {
    global: { plugins: [pinia], provide: { [CLIENT as symbol]: new Client(transport) } },
  })
  const plan = usePlanStore()
  const choose = async (path: string | null): Promise<void> => {
    const button = view.findAll('button').find((each) => each.text().includes('Add a checkpoint'))
    await button?.trigger('click')
    await flushPromises()
    useChooserStore().request?.resolve(path)
    await flushPromises()
  }
  expect(view.text()).toContain('None: predictors learn from this model’s layers.')
  await choose('/models/step-1')
  await choose('/models/step-2')
  expect(plan.draft.also).toEqual(['/models/step-1', '/models/step-2'])
  expect(view.findAll('li').map((row) => row.text())).toEqual([
    expect.stringContaining('step-1'),
    expect.stringContaining('step-2'),
  ])
  await choose('/models/step-1')
  expect(view.get('[role=alert]').text()).toBe('That checkpoint is in the list already.')
  await choose(BASE)
  expect(view.get('[role=alert]').text()).toBe('That is the model itself.')
  await choose(null)
  expect(plan.draft.also).toHaveLength(2)
  // Methods that learn are asked to use them, others are not.
  expect(plan.settings.also).toEqual(['/models/step-1', '/models/step-2'])
  expect(runSettingsOf({ ...plan.draft, method: 'solar' })).not.toHaveProperty('also')
  await view.get('button[aria-label="Leave out step-1"]').trigger('click')
  expect(plan.draft.also).toEqual(['/models/step-2'])
})
