import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { defaultHoldout } from '@shared/holdout'
import { AppError } from '@shared/errors'
import { DEFAULT_DRAFT } from '@shared/projects'
import { DEFAULT_SETTINGS, type RecentEntry } from '@shared/settings'
import { createPinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter, type Router } from 'vue-router'
import { Client, CLIENT } from '../../src/renderer/src/api/client'
import App from '../../src/renderer/src/App.vue'
import { routes } from '../../src/renderer/src/router'
import { FakeTransport, type Answers } from '../support/fakeTransport'
import { snapshot } from '../support/handlers'
import { PROJECT_ID, projectView } from '../support/projects'
import { appInfo, modelSummary } from '../support/summaries'

let app: VueWrapper
let router: Router
let transport: FakeTransport

const recent = (changes: Partial<RecentEntry> = {}): RecentEntry => ({
  kind: 'project',
  path: '/home/someone/LESA Workbench/Demo',
  name: 'Demo',
  openedAt: Date.now(),
  exists: true,
  ...changes,
})

async function open(answers: Answers = {}, place = '/'): Promise<void> {
  transport = new FakeTransport({
    'app:info': () => appInfo({ host: 'electron' }),
    'devices:list': () => [
      { device: 'cpu', available: true, name: 'Two cores', isSoftware: false, reason: 'Works.' },
      { device: 'webgpu', available: true, isSoftware: true, reason: 'A software adapter.' },
    ],
    'settings:get': () => DEFAULT_SETTINGS,
    'recents:list': () => [],
    'jobs:list': () => [],
    'projects:get': (id) => projectView({ id }),
    'projects:open': () => projectView(),
    'projects:createDemo': () => projectView(),
    'models:inspect': (path) => modelSummary({ path }),
    'models:statistics': () => ({ state: 'running', job: 'job-9' }),
    'models:growth': () => ({
      layersBefore: 12,
      layersAfter: 18,
      parametersBefore: 1,
      parametersAfter: 2,
      bytesBefore: 1,
      bytesAfter: 2,
      configChanges: [{ key: 'num_hidden_layers', before: '12', after: '18' }],
      warnings: [],
    }),
    'projects:update': (id, patch) =>
      projectView({ id, ...(patch.draft ? { draft: patch.draft } : {}) }),
    ...answers,
  })
  router = createRouter({ history: createMemoryHistory(), routes })
  await router.push(place)
  app = mount(App, {
    attachTo: document.body,
    global: {
      plugins: [createPinia(), router],
      provide: { [CLIENT as symbol]: new Client(transport) },
    },
  }) as VueWrapper
  await settle()
}

/** Views are loaded when they are first shown. */
async function settle(): Promise<void> {
  await flushPromises()
  await vi.dynamicImportSettled()
  await flushPromises()
}

const byText = (selector: string, text: string): ReturnType<VueWrapper['get']> => {
  const found = app.findAll(selector).find((candidate) => candidate.text().includes(text))
  if (!found) throw new Error(`There is no ${selector} "${text}".`)
  return found
}

async function press(key: string, modifiers: KeyboardEventInit = { ctrlKey: true }): Promise<void> {
  window.dispatchEvent(new KeyboardEvent('keydown', { key, cancelable: true, ...modifiers }))
  await settle()
}

beforeEach(() => {
  localStorage.clear()
  // happy-dom has no top layer.
  Object.assign(HTMLElement.prototype, { showPopover: () => {}, hidePopover: () => {} })
})
afterEach(() => {
  app.unmount()
})

describe('the start', () => {
  it('says what to do when nothing was opened yet', async () => {
    await open()
    expect(app.get('main').text()).toContain('How it goes')
    expect(byText('button', 'Try the demo').isVisible()).toBe(true)
  })

  it('opens the demo as a project in one click', async () => {
    await open()
    await byText('button', 'Try the demo').trigger('click')
    await settle()
    expect(router.currentRoute.value.fullPath).toBe(`/project/${PROJECT_ID}/model`)
    expect(app.get('header').text()).toContain('Demo')
    expect(app.get('header').text()).toContain('12 layers')
  })

  it('says where a recent project was when it is gone, and lets go of it', async () => {
    const removed: string[] = []
    await open({
      'recents:list': () => [recent({ exists: false })],
      'projects:open': () => {
        throw new AppError('not_found', 'Nothing is there.')
      },
      'recents:remove': (path) => {
        removed.push(path)
        return []
      },
    })
    expect(app.get('main').text()).toContain('Missing')
    await byText('main .entry button', 'Demo').trigger('click')
    await settle()
    expect(app.get('main').text()).toContain('“Demo” is not where it was')
    await byText('main button', 'Remove from the list').trigger('click')
    await settle()
    expect(removed).toEqual([recent().path])
  })

  it('passes on why a project cannot be opened', async () => {
    await open({
      'recents:list': () => [recent()],
      'projects:open': () => {
        throw new AppError('unsupported_version', 'Version 9 of the file is newer.', {
          hint: 'Update the program.',
        })
      },
    })
    await byText('main .entry button', 'Demo').trigger('click')
    await settle()
    expect(app.get('[role=alert]').text()).toContain('Version 9 of the file is newer.')
    expect(app.get('[role=alert]').text()).toContain('Update the program.')
  })
})

describe('the frame', () => {
  it('offers a project’s views only with a project', async () => {
    await open()
    const plan = byText('nav .item', 'Plan')
    expect(plan.attributes('aria-disabled')).toBe('true')
    await router.push(`/project/${PROJECT_ID}/plan`)
    await settle()
    expect(byText('nav a', 'Plan').attributes('aria-current')).toBe('page')
  })

  it('goes from view to view with the keys of the table', async () => {
    await open({}, `/project/${PROJECT_ID}/model`)
    await press('2')
    expect(router.currentRoute.value.name).toBe('project-plan')
    await press(',')
    expect(router.currentRoute.value.name).toBe('settings')
    await press('3')
    expect(router.currentRoute.value.name).toBe('project-parameters')
  })

  it('does what the menu says', async () => {
    await open({
      'folders:choose': () => '/models/base',
      'folders:identify': (path) => ({ path, kind: 'model' }),
    })
    transport.push('app:command', 'model:open')
    await settle()
    expect(router.currentRoute.value.query).toEqual({ path: '/models/base' })
    expect(app.get('main').text()).toContain('LlamaForCausalLM')
  })

  it('shows the keys when asked, but not while typing', async () => {
    await open({}, '/settings')
    app
      .get<HTMLInputElement>('main input[type=text]')
      .element.dispatchEvent(new KeyboardEvent('keydown', { key: '?', bubbles: true }))
    await settle()
    expect(app.text()).not.toContain('Keyboard shortcuts')
    await press('?', {})
    expect(app.text()).toContain('Keyboard shortcuts')
    expect(app.text()).toContain('Ctrl+Shift+Z')
  })

  it('opens a folder that is dropped anywhere', async () => {
    await open({ 'folders:identify': (path) => ({ path, kind: 'project' }) })
    transport.droppedPath = '/dropped/project'
    const event = new Event('drop', { cancelable: true })
    Object.assign(event, { dataTransfer: { types: ['Files'], files: [new File([], 'project')] } })
    window.dispatchEvent(event)
    await settle()
    expect(event.defaultPrevented).toBe(true)
    expect(transport.calls).toContainEqual({ name: 'folders:identify', args: ['/dropped/project'] })
    expect(router.currentRoute.value.name).toBe('project-model')
  })

  it('names what is running, the devices worth using, and a lost connection', async () => {
    await open({
      'jobs:list': () => [
        {
          ...snapshot,
          state: 'running',
          progress: 0.42,
          steps: [{ id: 'a', label: 'A', weight: 1, done: 0, total: 1 }],
        },
      ],
    })
    const footer = app.findAll('footer').at(-1)
    expect(footer?.text()).toContain('42 %')
    expect(footer?.text()).toContain('CPU')
    expect(footer?.text()).not.toContain('WEBGPU')
    transport.setConnected(false)
    await settle()
    expect(app.get('footer [role=alert]').text()).toContain('No connection')
  })
})

describe('a project', () => {
  it('that is not open any more says so', async () => {
    await open(
      {
        'projects:get': () => {
          throw new AppError('not_found', 'It is not open.')
        },
      },
      `/project/${PROJECT_ID}/plan`,
    )
    expect(app.get('main').text()).toContain('This project is not open')
  })

  it('whose model has moved asks for the new place, and for consent to another model', async () => {
    const asked: [string, boolean][] = []
    const missing = projectView({ model: { state: 'missing', path: '/old/base', name: 'base' } })
    await open(
      {
        'projects:get': () => missing,
        'folders:choose': () => '/new/base',
        'projects:relocateModel': (_id, path, { acceptDifferent }) => {
          asked.push([path, acceptDifferent])
          return acceptDifferent
            ? { outcome: 'relocated', project: projectView() }
            : { outcome: 'different', isCompatible: true, differences: ['Other weights.'] }
        },
      },
      `/project/${PROJECT_ID}/model`,
    )
    expect(app.get('main').text()).toContain('Nothing is at /old/base any more.')
    await byText('main button', 'Find the model…').trigger('click')
    await settle()
    expect(app.text()).toContain('Other weights.')
    await byText('button', 'Use this model').trigger('click')
    await settle()
    expect(asked).toEqual([
      ['/new/base', false],
      ['/new/base', true],
    ])
    expect(app.get('main').text()).not.toContain('Nothing is at')
  })

  it('reports files that were set aside', async () => {
    const problems = [
      { file: 'runs/001-lesa/run.json', setAside: 'run.json.damaged', message: 'Not JSON.' },
    ]
    await open({ 'projects:get': () => projectView({ problems }) }, `/project/${PROJECT_ID}/model`)
    expect(app.get('main').text()).toContain('runs/001-lesa/run.json')
    expect(app.get('main').text()).toContain('Kept as run.json.damaged.')
  })

  it('is deleted only after its folder was named', async () => {
    let isDeleted = false
    await open(
      {
        'projects:delete': () => {
          isDeleted = true
          return { movedTo: '/home/someone/LESA Workbench/.trash/Demo' }
        },
      },
      `/project/${PROJECT_ID}/model`,
    )
    await byText('[role=menuitem]', 'Delete…').trigger('click')
    await settle()
    expect(app.get('dialog[open]').text()).toContain('/home/someone/LESA Workbench/Demo')
    expect(isDeleted).toBe(false)
    await app.get('dialog[open] form').trigger('submit')
    await settle()
    expect(isDeleted).toBe(true)
    expect(router.currentRoute.value.name).toBe('start')
  })
})

describe('planning', () => {
  it('edits, undoes and saves from the keyboard', async () => {
    await open({}, `/project/${PROJECT_ID}/plan`)
    const main = app.get('main')
    expect(main.get('h2').text()).toContain('12 → 18 layers')
    await main.findAll('[role=option]')[0]?.trigger('click')
    await settle()
    expect(main.get('h2').text()).toContain('12 → 19 layers')
    await press('z')
    expect(main.get('h2').text()).toContain('12 → 18 layers')
    await press('Z', { ctrlKey: true, shiftKey: true })
    expect(main.get('h2').text()).toContain('12 → 19 layers')
  })

  it('keeps what each method had when another is tried', async () => {
    await open({}, `/project/${PROJECT_ID}/plan`)
    const main = app.get('main')
    await main.findAll('[role=option]')[0]?.trigger('click')
    await main.get('input[value=solar]').setValue()
    await settle()
    await main.get('input[type=range]').setValue('2')
    await settle()
    expect(main.get('h2').text()).toContain('12 → 20 layers')
    await main.get('input[value=lesa]').setValue()
    await settle()
    expect(main.get('h2').text()).toContain('12 → 19 layers')
  })
})

describe('the parameters', () => {
  it('mark what differs from the preset and put it back', async () => {
    // As a new project has it.
    const draft = { ...DEFAULT_DRAFT, holdout: defaultHoldout(12) }
    await open(
      { 'projects:get': () => projectView({ draft }) },
      `/project/${PROJECT_ID}/parameters`,
    )
    const main = app.get('main')
    const rate = main.findAll('input').find(({ element }) => element.value === '0.001')
    await rate?.setValue('0.01')
    await settle()
    expect(main.text()).toContain('changed')
    await byText('main button', 'Reset 1 changed value').trigger('click')
    await settle()
    expect(rate?.element.value).toBe('0.001')
  })

  it('say what is wrong while it is typed, and do not keep it when left', async () => {
    await open({}, `/project/${PROJECT_ID}/parameters`)
    const rate = app
      .get('main')
      .findAll('input')
      .find(({ element }) => element.value === '0.001')
    await rate?.setValue('2')
    await settle()
    expect(rate?.attributes('aria-invalid')).toBe('true')
    expect(app.get('main').text()).toContain('Give a number above 0, up to 1.')
    await press('2')
    expect(app.text()).toContain('A value could not be taken')
  })
})
