import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { AppError } from '@shared/errors'
import type { JobSnapshot, JobSpec } from '@shared/jobs'
import { createPinia } from 'pinia'
import type { ComponentPublicInstance } from 'vue'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Client, CLIENT } from '../../src/renderer/src/api/client'
import App from '../../src/renderer/src/App.vue'
import { FakeTransport, type Answers } from '../support/fakeTransport'
import { snapshot } from '../support/handlers'
import { appInfo, modelSummary } from '../support/summaries'

let app: VueWrapper<ComponentPublicInstance>
let transport: FakeTransport
let started: JobSpec[]

async function open(answers: Answers = {}): Promise<void> {
  transport = new FakeTransport({
    'app:info': () => appInfo({ host: 'electron' }),
    'devices:list': () => [
      { device: 'cpu', available: true, name: 'Two cores', isSoftware: false, reason: 'Works.' },
      { device: 'webgpu', available: true, isSoftware: true, reason: 'A software adapter.' },
      { device: 'cuda', available: false, isSoftware: false, reason: 'No driver.' },
    ],
    'jobs:list': () => [],
    'models:inspect': (path) => modelSummary({ path }),
    'jobs:start': (spec) => {
      started.push(spec)
      return { ...snapshot, spec, state: 'running', startedAt: Date.now() }
    },
    ...answers,
  })
  app = mount(App, {
    attachTo: document.body,
    global: { plugins: [createPinia()], provide: { [CLIENT as symbol]: new Client(transport) } },
  }) as VueWrapper<ComponentPublicInstance>
  await flushPromises()
}

const button = (text: string): ReturnType<VueWrapper['find']> => {
  const found = app.findAll('button').find((candidate) => candidate.text().includes(text))
  if (!found) throw new Error(`There is no button "${text}".`)
  return found
}

async function openDemo(): Promise<void> {
  await button('Use the demo model').trigger('click')
  await flushPromises()
}

async function push(changes: Partial<JobSnapshot>): Promise<void> {
  transport.push('jobs:changed', { ...snapshot, seq: 1, ...changes })
  await flushPromises()
}

beforeEach(() => {
  localStorage.clear()
  started = []
})

afterEach(() => {
  app.unmount()
})

describe('the page', () => {
  it('names the devices that are worth using', async () => {
    await open()
    expect(app.find('footer').text()).toContain('Devices: cpu (Two cores)')
    expect(app.find('footer').text()).not.toContain('webgpu')
    expect(app.find('footer').text()).toContain('Version 1.2.3')
  })

  it('begins with what to do', async () => {
    await open()
    expect(app.text()).toContain('Open a model first.')
    expect(app.text()).toContain('Nothing has run yet')
  })

  it('opens a model with the native dialog where there is one', async () => {
    await open({ 'folders:choose': () => '/chosen/base' })
    await button('Choose…').trigger('click')
    await flushPromises()
    expect(transport.calls).toContainEqual({ name: 'models:inspect', args: ['/chosen/base'] })
    expect(app.text()).toContain('LlamaForCausalLM')
    expect(app.text()).toContain('2.49 M')
  })

  it('does nothing when that dialog is dismissed', async () => {
    await open({ 'folders:choose': () => null })
    await button('Choose…').trigger('click')
    await flushPromises()
    expect(transport.calls.map(({ name }) => name)).not.toContain('models:inspect')
  })

  it('opens a folder that is dropped', async () => {
    await open()
    transport.droppedPath = '/dropped/base'
    const event = new Event('drop', { cancelable: true, bubbles: true })
    Object.assign(event, { dataTransfer: { files: [new File([], 'base')] } })
    app.find('.app').element.dispatchEvent(event)
    await flushPromises()
    expect(event.defaultPrevented).toBe(true)
    expect(app.text()).toContain('LlamaForCausalLM')
  })

  it('says what is wrong with a model, and what can be done', async () => {
    await open({
      'models:inspect': () => {
        throw new AppError('bad_checkpoint', 'The header is cut off.', { hint: 'Fetch it again.' })
      },
    })
    await openDemo()
    const alert = app.find('[role=alert]').text()
    expect(alert).toContain('The checkpoint cannot be read')
    expect(alert).toContain('The header is cut off.')
    expect(alert).toContain('Fetch it again.')
  })

  it('does not offer to grow what cannot be grown', async () => {
    await open({ 'models:inspect': (path) => modelSummary({ path, supported: false }) })
    await openDemo()
    expect(app.find('form').exists()).toBe(false)
    expect(app.text()).toContain('not supported')
  })

  it('sends the spec that the form shows', async () => {
    await open()
    await openDemo()
    expect(app.text()).toContain('12 → 18 layers')
    await app.find('form').trigger('submit')
    await flushPromises()
    expect(started).toMatchObject([
      {
        kind: 'expand',
        model: '/program/demo-model',
        out: '/home/someone/demo-model-lesa-18',
        overwrite: false,
        method: { name: 'lesa', useSvd: true, energy: 1 },
      },
    ])
  })

  it('warns of a training that is too short to mean anything', async () => {
    await open()
    await openDemo()
    expect(app.text()).toContain('About 100 mini-batches for q_proj')
    await app.find('select[aria-describedby]').setValue('solar')
    expect(app.text()).not.toContain('mini-batches')
  })

  it('runs from the menu, and only what is complete', async () => {
    await open()
    transport.push('app:command', 'job:run')
    await flushPromises()
    expect(started).toEqual([])
    await openDemo()
    transport.push('app:command', 'job:run')
    await flushPromises()
    expect(started).toHaveLength(1)
  })
})

describe('a job', () => {
  it('shows how far it is, what it measures and what it does', async () => {
    await open()
    await push({
      state: 'running',
      startedAt: Date.now(),
      progress: 0.42,
      device: { device: 'cpu', reason: 'There is no GPU.' },
      steps: [
        { id: 'a', label: 'Decompose', weight: 1, done: 3, total: 3 },
        { id: 'b', label: 'Train', weight: 1, done: 1, total: 4 },
      ],
      series: { 'loss/q_proj': { x: [0, 1], y: [0.5, 0.25] } },
      log: [{ at: 1, level: 'warning', text: 'Mind the gap.' }],
    })
    expect(app.find('progress').attributes('value')).toBe('0.42')
    const text = app.text()
    for (const part of ['Running', '42 %', 'There is no GPU.', 'Train', '25 %', 'loss/q_proj']) {
      expect(text).toContain(part)
    }
    expect(text).toContain('0.250')
    expect(text).toContain('Warning: Mind the gap.')
  })

  it('is cancelled by its button, once', async () => {
    await open({ 'jobs:cancel': (id) => ({ ...snapshot, id, seq: 2, state: 'cancelling' }) })
    await push({ state: 'running', startedAt: Date.now() })
    await button('Cancel').trigger('click')
    await flushPromises()
    expect(transport.calls.at(-1)).toEqual({ name: 'jobs:cancel', args: ['job-1'] })
    expect(button('Cancelling…').attributes('disabled')).toBeDefined()
  })

  it('that failed says why, with the engine’s last words apart', async () => {
    await open()
    await push({
      state: 'failed',
      endedAt: 2,
      error: {
        code: 'engine_crashed',
        message: 'The engine stopped unexpectedly (exit code 134).\nterminate called',
        hint: 'It starts again.',
      },
    })
    expect(app.find('[role=alert] pre').text()).toBe('terminate called')
    expect(app.text()).toContain('Failed')
  })

  it('that succeeded shows what was written, and what the predictor was worth', async () => {
    await open()
    await push({
      state: 'succeeded',
      endedAt: 2,
      progress: 1,
      result: {
        kind: 'expand',
        out: '/models/grown',
        method: 'lesa',
        num_hidden_layers: 18,
        new_layers: [6, 8],
        parameters: 3_670_000,
        bytes: 7_350_000,
        shards: 1,
        device: null,
        seed: 0,
        seconds: 9.9,
        warnings: ['Fewer than 2,000 steps.'],
        predictors: [
          {
            weightType: 'q_proj',
            rank: 128,
            samples: 1280,
            steps: 100,
            lossPerEpoch: [0.5, 0.25],
            mse: 2.06,
            mseOfZero: 2,
            mseOfMean: 3,
            normRatio: 0.31,
          },
        ],
      },
    })
    const cells = app
      .findAll('tbody tr')[0]
      ?.findAll('td')
      .map((cell) => cell.text())
    expect(cells).toEqual(['100', '0.250', '1.03', '1.50', '0.310'])
    expect(app.text()).toContain('/models/grown')
    expect(app.text()).toContain('Fewer than 2,000 steps.')
    expect(app.find('progress').exists()).toBe(false)
  })

  it('can be looked at again while another runs', async () => {
    await open()
    await push({ id: 'a', state: 'cancelled', endedAt: 2, createdAt: 1 })
    await push({ id: 'b', state: 'running', startedAt: Date.now(), createdAt: 2 })
    expect(app.find('progress').exists()).toBe(true)
    await app.findAll('.list .row')[1]?.trigger('click')
    expect(app.text()).toContain('The job was cancelled')
  })
})

describe('the line to the program', () => {
  it('is watched, and what was missed is asked for', async () => {
    let known: JobSnapshot[] = []
    await open({ 'jobs:list': () => known })
    transport.setConnected(false)
    await flushPromises()
    expect(app.find('footer').text()).toContain('No connection to the program')
    known = [{ ...snapshot, state: 'running', startedAt: Date.now() }]
    transport.setConnected(true)
    await flushPromises()
    expect(app.find('footer').text()).toContain('Devices')
    expect(app.text()).toContain('Running')
  })
})
