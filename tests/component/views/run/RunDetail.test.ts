import { flushPromises, mount } from '@vue/test-utils'
import { expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useJobsStore } from '../../../../src/renderer/src/stores/jobs'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import { useRunsStore } from '../../../../src/renderer/src/stores/runs'
import RunDetail from '../../../../src/renderer/src/views/run/RunDetail.vue'
import { activatePinia, FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView, runJob, runSummary } from '../../../support/projects'
import { expandSpec } from '../../../support/specs'

it('offers a pause while a run computes, and says that it waits for what is computed now', async () => {
  const run = runSummary()
  const transport = new FakeTransport({
    'projects:get': () => projectView({ runs: [run] }),
    'runs:get': () => ({
      run,
      versions: { engine: '1', onnxruntime: '1', node: '20' },
      spec: expandSpec(),
      timings: [],
      log: [],
      series: [],
    }),
    'jobs:pause': () => runJob({ seq: 2, state: 'pausing' }),
  })
  const pinia = activatePinia(transport)
  await useProjectStore().load(PROJECT_ID)
  useJobsStore()
  transport.push('jobs:changed', { job: 'job-1', seq: 0, events: [], snapshot: runJob() })
  await useRunsStore().show(run.id)
  const view = mount(RunDetail, {
    props: { run },
    global: {
      plugins: [pinia],
      provide: { [CLIENT as symbol]: new Client(transport) },
      stubs: { RouterLink: { template: '<a><slot /></a>' } },
    },
  })
  await flushPromises()
  const pause = view.findAll('button').find((button) => button.text() === 'Pause')
  await pause?.trigger('click')
  await flushPromises()
  expect(transport.calls.map(({ name }) => name)).toContain('jobs:pause')
  expect(view.text()).toContain('It pauses when what it computes now is finished and kept.')
})
