import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { newJob, type JobSnapshot } from '@shared/jobs'
import type { GapScores, LayerScores, MeasuredPlaces } from '@shared/places'
import type { PlacesRequest } from '@shared/placesRequest'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, describe, expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import HeatMap from '../../../../src/renderer/src/components/HeatMap.vue'
import { useJobsStore } from '../../../../src/renderer/src/stores/jobs'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import { repeatRows, scoreRows } from '../../../../src/renderer/src/views/plan/placeRows'
import PlacesPanel from '../../../../src/renderer/src/views/plan/PlacesPanel.vue'
import { FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView } from '../../../support/projects'
import { placeSpec } from '../../../support/specs'
import { modelSummary } from '../../../support/summaries'

const LAYERS = 4
const TEXT = { id: '0123456789abcdef', name: 'laws.txt', bytes: 2_000, exists: true }

function measuredWith(losses: readonly number[]): MeasuredPlaces {
  const change = (loss: number) => ({
    loss,
    difference: {
      mean: loss - 2,
      low: loss - 2.1,
      high: loss - 1.9,
      tokens: 100,
      windows: 4,
      outcome: 'lower' as const,
    },
  })
  return {
    text: 'laws.txt',
    device: 'cpu',
    measuredAt: 0,
    report: {
      num_hidden_layers: LAYERS,
      attention_windows: [null, null, null, null],
      context: 64,
      tokens: { calibration: 640, search: 128, measured: 128 },
      base_loss: 2,
      layers: losses.map((_, layer): LayerScores => ({
        layer,
        influence: layer / 10,
        update: layer / 5,
        skip: change(3),
        repeat: change(2.5),
      })),
      gaps: losses.map((loss, gap): GapScores => ({
        gap,
        slope: 1 - gap / 10,
        candidates: [{ candidate: 'copy', gradient: -0.1 }],
        fit: { ...change(loss), step: 0.1 },
        weight_cosine: gap < 3 ? 0.01 : null,
        cka: gap < 3 ? 0.9 : null,
      })),
      angular: [[0.1, 0.1, 0.1, 0.1]],
      repeats: [
        { first: 0, end: 1, ...change(2.1) },
        { first: 0, end: 2, ...change(2.4) },
        { first: 1, end: 2, ...change(1.9) },
      ],
    },
  }
}

let panel: VueWrapper
let gaps: number[]
let asked: PlacesRequest[]
let measured: MeasuredPlaces | null
let transport: FakeTransport

async function open(found: MeasuredPlaces | null, start = [1, 2]): Promise<void> {
  gaps = start
  asked = []
  measured = found
  const job = (): JobSnapshot => newJob('j1', placeSpec(), 0, { project: PROJECT_ID })
  const view = projectView({
    texts: [TEXT],
    model: {
      state: 'ready',
      path: '/models/base',
      name: 'base',
      summary: modelSummary({ num_hidden_layers: LAYERS }),
    },
  })
  transport = new FakeTransport({
    'projects:get': () => view,
    'projects:places': () => measured,
    'projects:measurePlaces': (_id, request) => {
      asked.push(request)
      return job()
    },
    'jobs:list': () => (asked.length > 0 ? [job()] : []),
  })
  const pinia = createPinia()
  setActivePinia(pinia)
  panel = mount(PlacesPanel, {
    attachTo: document.body,
    props: {
      layers: LAYERS,
      slots: LAYERS,
      gaps: start,
      onChange: (changed: number[]) => {
        gaps = changed
        void panel.setProps({ gaps: changed })
      },
    },
    global: { plugins: [pinia], provide: { [CLIENT as symbol]: new Client(transport) } },
  }) as VueWrapper
  await useProjectStore().load(PROJECT_ID)
  await flushPromises()
}

const button = (name: string) => panel.findAll('button').find((each) => each.text() === name)!

afterEach(() => panel.unmount())

describe('presets', () => {
  it('place as many layers as are planned, and say which of them is chosen', async () => {
    await open(null)
    expect(button('Late half').attributes('aria-pressed')).toBe('true')
    expect(button('Even').attributes('aria-pressed')).toBe('false')
    await button('Even').trigger('click')
    expect(gaps).toEqual([1, 3])
    expect(button('Even').attributes('aria-pressed')).toBe('true')
    expect(panel.text()).toContain('No study shows')
  })

  it('have none that is measured before something was', async () => {
    await open(null)
    expect(button('Measured').attributes('disabled')).toBeDefined()
    expect(panel.text()).toContain('Measure the places first.')
  })

  it('take what was measured', async () => {
    await open(measuredWith([1.9, 1.9, 1.2, 1.1]))
    await button('Measured').trigger('click')
    expect(gaps).toEqual([2, 3])
  })

  it('say so where no block helps', async () => {
    await open(measuredWith([2, 2, 2, 2]))
    expect(button('Measured').attributes('disabled')).toBeDefined()
    expect(panel.text()).toContain('there is nothing to choose by')
  })
})

describe('the measurement', () => {
  it('is asked for with the text that is chosen', async () => {
    await open(null)
    const lengths = panel.findAll('select').at(-1)!
    await lengths.setValue('4')
    await button('Measure places').trigger('click')
    await flushPromises()
    expect(asked).toEqual([{ text: TEXT.id, blocks: 4, device: projectView().draft.device }])
    await useJobsStore().load()
    await flushPromises()
    expect(panel.find('progress[aria-label="Measuring places"]').exists()).toBe(true)
  })

  it('shows every score and the map of blocks, and a click puts a layer there', async () => {
    await open(measuredWith([1.9, 1.8, 1.2, 1.1]))
    expect(panel.text()).toContain('laws.txt: 2.0000 nats a token')
    const [scores, blocks] = panel.findAllComponents(HeatMap)
    expect((blocks!.props() as { rows: { key: string }[] }).rows.map(({ key }) => key)).toEqual([
      '1 layer',
      '2 layers',
    ])
    scores!.vm.$emit('open', 0, 0)
    await flushPromises()
    expect(gaps).toEqual([0, 1, 2])
    scores!.vm.$emit('update:modelValue', { row: 0, column: 3 })
    await flushPromises()
    expect(panel.text()).toContain(
      'After layer 3: one fitted block, −0.9000 nats (95 %: -1.0000 to -0.8000)',
    )
  })

  it('of a model of another depth is not shown', async () => {
    const found = measuredWith([1.9, 1.8, 1.2, 1.1])
    await open({ ...found, report: { ...found.report, num_hidden_layers: 5 } })
    expect(panel.findComponent(HeatMap).exists()).toBe(false)
  })
})

describe('rows', () => {
  const { report } = measuredWith([1.9, 1.8, 1.2, 1.1])

  it('are coloured by rank, so that one layer that stands out hides no other', () => {
    const influence = { ...report, layers: report.layers.map((each) => ({ ...each })) }
    const rows = scoreRows({
      ...influence,
      layers: influence.layers.map((each, layer) => ({ ...each, influence: 10 ** layer })),
    })
    const { shares } = rows.find(({ key }) => key === 'block influence')!
    expect(shares).toEqual([0, 1 / 3, 2 / 3, 1])
  })

  it('have no colour where there is no number', () => {
    const cka = scoreRows(report).find(({ key }) => key === 'CKA of outputs')!
    expect(cka.shares.at(-1)).toBeNull()
    expect(cka.describe(3)).toBe('no number')
  })

  it('of repeated blocks share one scale', () => {
    const [one, two] = repeatRows(report)
    expect(one!.shares.slice(0, 2)).toEqual([expect.closeTo(0.4, 6), 0])
    expect(two!.shares[0]).toBe(1)
    expect(two!.shares[1]).toBeNull()
  })
})
