import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { AppError } from '@shared/errors'
import type { ModelSummary } from '@shared/model'
import type { ModelStatistics } from '@shared/statistics'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter, type Router } from 'vue-router'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useModelStore } from '../../../../src/renderer/src/stores/model'
import HeatMap from '../../../../src/renderer/src/components/HeatMap.vue'
import ModelPage from '../../../../src/renderer/src/views/model/ModelPage.vue'
import { FakeTransport, type Answers } from '../../../support/fakeTransport'
import { appInfo, modelSummary } from '../../../support/summaries'

let page: VueWrapper
let router: Router
let transport: FakeTransport

const cell = (norm: number): ModelStatistics['rows'][number]['cells'][number] => ({
  norm,
  meanAbs: 1,
  maxAbs: 2,
  nan: 0,
  infinite: 0,
})
const statistics: ModelStatistics = {
  layers: 2,
  layerPrefix: 'model.layers.',
  rows: [
    {
      key: 'q_proj',
      isWeightType: true,
      cells: [cell(1.5), cell(2.5)],
      suffix: 'self_attn.q_proj.weight',
    },
  ],
  others: [],
  damaged: [],
  damagedCount: 0,
}

async function show(
  summary: Partial<ModelSummary> = {},
  place = '/model',
  answers: Answers = {},
): Promise<void> {
  transport = new FakeTransport({
    'app:info': () => appInfo(),
    'devices:list': () => [],
    'models:statistics': () => ({ state: 'ready', statistics }),
    'models:tensors': () => ({
      names: [
        'model.embed_tokens.weight',
        'model.layers.0.self_attn.q_proj.weight',
        'model.layers.1.self_attn.q_proj.weight',
      ],
      bytes: [8, 8, 8],
      dtypes: ['F32'],
      dtypeOf: [0, 0, 0],
      shapes: [[2, 1]],
      shapeOf: [0, 0, 0],
      shards: ['model.safetensors'],
      shardOf: [0, 0, 0],
    }),
    'models:tensor': (_path, name) => ({
      name,
      figures: {
        count: 2,
        norm: 2.5,
        mean: 0.5,
        deviation: 1,
        min: -1,
        max: 2,
        zeros: 0,
        nan: 3,
        infinite: 0,
        histogram: { low: -1, high: 2, counts: [1, 0, 1], below: 0, above: 4 },
      },
    }),
    ...answers,
  })
  const pinia = createPinia()
  router = createRouter({
    history: createMemoryHistory(),
    routes: [{ path: '/model', component: ModelPage }],
  })
  await router.push(place)
  setActivePinia(pinia)
  page = mount(ModelPage, {
    attachTo: document.body,
    global: {
      plugins: [pinia, router],
      provide: { [CLIENT as symbol]: new Client(transport) },
    },
  }) as VueWrapper
  useModelStore().show(modelSummary(summary))
  await flushPromises()
}

afterEach(() => {
  page.unmount()
  vi.restoreAllMocks()
})

const button = (text: string): ReturnType<VueWrapper['find']> | undefined =>
  page.findAll('button').find((one) => one.text().includes(text))

it('keeps its tab in the address, beside what is there', async () => {
  await show({}, '/model?path=%2Fm&tab=config')
  expect(page.get('[role=tab][aria-selected=true]').text()).toBe('Config')
  await page.findAll('[role=tab]')[0]?.trigger('click')
  await flushPromises()
  expect(router.currentRoute.value.query).toEqual({ path: '/m', tab: 'layers' })
})

it('shows between which numbers a row’s colours lie', async () => {
  await show()
  expect(page.text()).toContain('1.50 – 2.50')
  expect(page.text()).not.toContain('Spectrum share')
})

it('says of a mixture of experts, and of layers of several types, what they are', async () => {
  await show({
    num_hidden_layers: 3,
    layer_types: ['one MLP', 'experts', 'experts'],
    experts: {
      count: 64,
      per_token: 8,
      intermediate_size: 1408,
      shared_intermediate_size: 5632,
      layers: 2,
      active_parameters: 2_700_000_000,
      active_parameters_per_layer: 1,
    },
  })
  const facts = page.get('dl').text()
  expect(facts).toContain('8 of 64 a token, of size 1,408, one of size 5,632 for every token')
  expect(facts).toContain('1 × one MLP; 2 × experts')
  expect(facts).toContain('MLP width344')
  expect(facts).toContain('Parameters a token2.70 G')
})

it('says of a cell whose layer does not have the matrix that it is not there', async () => {
  await show({}, '/model', {
    'models:statistics': () => ({
      state: 'ready',
      statistics: {
        ...statistics,
        rows: statistics.rows.map((row) => ({ ...row, cells: [null, cell(2)] })),
      },
    }),
  })
  page.getComponent(HeatMap).vm.$emit('update:modelValue', { row: 0, column: 0 })
  await flushPromises()
  expect(page.get('.readout').text()).toContain('Layer 0 · q_proj')
  expect(page.get('.readout').text()).toContain('not in this layer')
})

it('leads from a cell to its tensor, with its figures', async () => {
  await show()
  page.getComponent(HeatMap).vm.$emit('open', 0, 1)
  await flushPromises()
  expect(router.currentRoute.value.query['tab']).toBe('tensors')
  const details = page.get('aside')
  expect(details.text()).toContain('model.layers.1.self_attn.q_proj.weight')
  expect(details.text()).toContain('Frobenius norm2.50')
  expect(details.get('.damage').text()).toBe('NaN3')
  expect(details.text()).toContain('4 values lie beyond the bars.')
  expect(details.findAll('rect')).toHaveLength(3)
})

it('takes no late answer for another tensor', async () => {
  const waiting: (() => void)[] = []
  await show({}, '/model?tab=tensors', {
    'models:tensor': (_path, name) =>
      new Promise((resolve) => waiting.push(() => resolve({ name, figures: null }))),
  })
  const store = useModelStore()
  void store.loadTensor('a')
  void store.loadTensor('b')
  await flushPromises()
  waiting[1]?.()
  await flushPromises()
  waiting[0]?.()
  await flushPromises()
  expect(store.tensor.value?.name).toBe('b')
})

it.each([
  [
    'unsupported_dtype',
    'Weights of this kind cannot be grown here',
    'Quantised models cannot be grown.',
  ],
  ['unsupported_architecture', 'This architecture cannot be grown here', 'Mamba is not known.'],
] as const)(
  'says of %s what it is, and offers nothing that cannot help',
  async (code, title, message) => {
    const refusal = new AppError(code, message, { hint: 'Take another one.' }).toData()
    await show({ supported: false, refusal })
    expect(page.text()).toContain(title)
    expect(page.text()).toContain(message)
    expect(page.text()).toContain('Take another one.')
    expect(button('Measure')).toBeUndefined()
    expect(transport.calls.map(({ name }) => name)).not.toContain('models:statistics')
  },
)

it('offers to measure again what may go better', async () => {
  await show({}, '/model', {
    'models:statistics': () => {
      throw new AppError('path_denied', 'The folder may not be read.')
    },
  })
  expect(button('Measure again')?.exists()).toBe(true)
})
