import { AppError } from '@shared/errors'
import type { Estimate } from '@shared/estimate'
import { DEFAULT_SETTINGS } from '@shared/settings'
import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useJobsStore } from '../../../../src/renderer/src/stores/jobs'
import { usePlanStore } from '../../../../src/renderer/src/stores/plan'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import { useSettingsStore } from '../../../../src/renderer/src/stores/settings'
import NewRun from '../../../../src/renderer/src/views/run/NewRun.vue'
import { activatePinia, FakeTransport, type Answers } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView, runJob } from '../../../support/projects'

const FITS: Estimate = {
  seconds: { low: 8, high: 12 },
  hostBytesPeak: 174e6,
  deviceBytes: null,
  diskBytes: 1e6,
  freeMemory: 22e9,
  isLimited: false,
  freeDisk: 1e12,
  device: 'cpu',
  refusal: null,
  verdict: 'fits',
  reasons: ['It needs about 174 MB of memory, and 22.0 GB can be used.'],
  breakdown: { seconds: [], hostBytes: [], diskBytes: [] },
}

const REFUSED: Estimate = {
  ...FITS,
  verdict: 'does_not_fit',
  freeMemory: 1.61e9,
  hostBytesPeak: 2.11e9,
  isLimited: true,
  refusal: { needs: 'memory_limit', bytes: 2.11e9 },
}

async function open(answers: Answers): Promise<{ view: VueWrapper; transport: FakeTransport }> {
  const transport = new FakeTransport({
    'projects:get': (id) => projectView({ id }),
    'projects:update': (id) => projectView({ id }),
    ...answers,
  })
  const pinia = activatePinia(transport)
  await useProjectStore().load(PROJECT_ID)
  const view = mount(NewRun, {
    global: {
      plugins: [pinia],
      provide: { [CLIENT as symbol]: new Client(transport) },
      stubs: { RouterLink: { template: '<a><slot /></a>' } },
    },
  }) as VueWrapper
  await flushPromises()
  return { view, transport }
}

const go = (view: VueWrapper) => view.get<HTMLButtonElement>('button.go')

describe('preparing a run', () => {
  it('shows no other plan’s, project’s or limit’s estimate while its own is not there', async () => {
    const answers: ((estimate: Estimate) => void)[] = []
    const { view, transport } = await open({
      'runs:estimate': () => new Promise<Estimate>((resolve) => answers.push(resolve)),
    })
    answers[0]?.(FITS)
    await flushPromises()
    expect(view.text()).toContain('174 MB')
    const changes = [
      () => usePlanStore().edit({ seed: 9 }),
      () => useProjectStore().load('f'.repeat(16)),
      () => {
        useSettingsStore()
        transport.push('settings:changed', { ...DEFAULT_SETTINGS, memoryLimitBytes: 1.61e9 })
      },
    ]
    for (const [index, change] of changes.entries()) {
      await Promise.resolve(change())
      await flushPromises()
      expect(view.text(), String(index)).not.toContain('174 MB')
      expect(view.text(), String(index)).toContain('Estimating…')
      answers.at(-1)?.(FITS)
      await flushPromises()
      expect(view.text(), String(index)).toContain('174 MB')
    }
  })

  it('does not offer what would be refused, and says what would make it fit', async () => {
    const { view } = await open({ 'runs:estimate': () => REFUSED })
    expect(go(view).element.disabled).toBe(true)
    expect(view.text()).toContain('it takes at least 2.11 GB')
    expect(view.text()).toContain('Change the limit in Settings')
    expect(view.text()).toContain('of the 1.61 GB limit')
    expect(view.find('progress.danger').exists()).toBe(true)
  })

  it('does not offer what the model’s family cannot have, and says why', async () => {
    const message = 'OpT-DeUS does not grow models with experts: MixtralForCausalLM.'
    const { view } = await open({
      'runs:estimate': () => {
        throw new AppError('unsupported_architecture', message, { hint: 'Choose LESA.' })
      },
    })
    expect(go(view).element.disabled).toBe(true)
    expect(view.text()).toContain(message)
    expect(view.text()).toContain('Choose LESA.')
  })

  it('offers what could not be estimated for a reason that may pass', async () => {
    const { view } = await open({
      'runs:estimate': () => {
        throw new AppError('engine_crashed', 'The engine ended.')
      },
    })
    expect(go(view).element.disabled).toBe(false)
  })

  it('offers what does not fit but may be tried, and the queue while something runs', async () => {
    const { view, transport } = await open({
      'runs:estimate': () => ({ ...REFUSED, refusal: null }),
      'jobs:get': () => runJob(),
    })
    expect(go(view).text()).toBe('Run anyway')
    expect(go(view).element.disabled).toBe(false)
    useJobsStore()
    transport.push('jobs:changed', { job: 'job-1', seq: 0, events: [], snapshot: runJob() })
    await flushPromises()
    expect(go(view).text()).toBe('Add to queue')
  })

  it('says all that is not as the defaults are', async () => {
    const { view } = await open({ 'runs:estimate': () => FITS })
    // What a new project of a model of this depth begins with.
    usePlanStore().edit({ holdout: [6] })
    await flushPromises()
    expect(view.text()).toContain('Everything else is as the defaults are.')
    usePlanStore().edit({ holdout: [5], useSvd: false })
    await flushPromises()
    expect(view.text()).toContain('Changed from the defaults')
    expect(view.get('.changed').text()).toContain('instead of 6')
  })
})
