import type { FolderKind, FolderListing } from '@shared/contract'
import { AppError } from '@shared/errors'
import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { beforeEach, describe, expect, it } from 'vitest'
import { Client, CLIENT } from '../../../src/renderer/src/api/client'
import FolderPicker from '../../../src/renderer/src/components/FolderPicker.vue'
import { useChooserStore, type ChoosePurpose } from '../../../src/renderer/src/stores/chooser'
import { activatePinia, FakeTransport } from '../../support/fakeTransport'

/** Folders of a machine, each with what it holds. */
const KINDS: Readonly<Record<string, FolderKind['kind']>> = {
  '/home': 'other',
  '/home/models': 'other',
  '/home/models/llama': 'model',
  '/home/Demo': 'project',
}

function listing(path: string): FolderListing {
  if (!(path in KINDS)) throw new AppError('not_found', `${path} is not a folder.`)
  const names = Object.keys(KINDS).flatMap((known) => {
    const rest = known.startsWith(`${path}/`) ? known.slice(path.length + 1) : ''
    return rest === '' || rest.includes('/') ? [] : [rest]
  })
  const folders = names.map((name) => {
    const kind = KINDS[`${path}/${name}`]
    return { name, isModel: kind === 'model', isProject: kind === 'project' }
  })
  const parent = path === '/home' ? null : path.slice(0, path.lastIndexOf('/'))
  return { path, parent, folders, files: [] }
}

let picker: VueWrapper
let chooser: ReturnType<typeof useChooserStore>

beforeEach(() => {
  localStorage.clear()
  Object.assign(HTMLDialogElement.prototype, {
    showModal(this: HTMLDialogElement) {
      this.open = true
    },
  })
  const transport = new FakeTransport({
    'folders:list': (path) => listing(path ?? '/home'),
    'folders:open': (path) => path,
    'folders:identify': (path) => ({ path, kind: KINDS[path] ?? 'other' }),
    'models:cached': () => ({ folder: '/cache', models: [] }),
  })
  const pinia = activatePinia(transport)
  picker = mount(FolderPicker, {
    global: { plugins: [pinia], provide: { [CLIENT as symbol]: new Client(transport) } },
  }) as VueWrapper
  chooser = useChooserStore()
})

async function ask(purpose: ChoosePurpose): Promise<{ answer: string | null | undefined }> {
  const told: { answer: string | null | undefined } = { answer: undefined }
  void chooser.folder({ title: 'Choose', purpose }).then((path) => (told.answer = path))
  await flushPromises()
  return told
}

const field = () => picker.get<HTMLInputElement>('.bar input')
const button = () => picker.get<HTMLButtonElement>('button.primary')

async function typeAndChoose(path: string): Promise<void> {
  await field().setValue(path)
  await button().trigger('click')
  await flushPromises()
}

describe('the folder dialog', () => {
  it('takes what is typed, whichever folder is listed', async () => {
    const told = await ask('output')
    expect(field().element.value).toBe('/home')
    await typeAndChoose('/home/models')
    expect(told.answer).toBe('/home/models')
  })

  it('takes nothing that is not there, and says so until something else is typed', async () => {
    const told = await ask('output')
    await typeAndChoose('/home/nothing')
    expect(told.answer).toBeUndefined()
    expect(picker.text()).toContain('/home/nothing is not a folder.')
    expect(button().element.disabled).toBe(true)
    await field().setValue('/home/models')
    expect(button().element.disabled).toBe(false)
    await field().setValue('  ')
    expect(button().element.disabled).toBe(true)
  })

  it('stays open over a folder that holds something else, with what it holds', async () => {
    const told = await ask('model')
    await typeAndChoose('/home/models')
    expect(picker.text()).toContain('/home/models holds no Hugging Face checkpoint')
    await typeAndChoose('/home/Demo')
    expect(picker.text()).toContain('/home/Demo holds a project, not a model.')
    expect(told.answer).toBeUndefined()
    await typeAndChoose('/home/models/llama')
    expect(told.answer).toBe('/home/models/llama')
  })

  it('begins where it was left, also when nothing was chosen', async () => {
    await ask('model')
    await field().setValue('/home/models')
    await picker.get('form').trigger('submit')
    await flushPromises()
    chooser.request?.resolve(null)
    await flushPromises()
    await ask('model')
    expect(field().element.value).toBe('/home/models')
    chooser.request?.resolve(null)
    await flushPromises()
    await ask('output')
    expect(field().element.value).toBe('/home')
  })

  it('begins beside the model that was taken last, where the next one is', async () => {
    const told = await ask('model')
    await typeAndChoose('/home/models/llama')
    expect(told.answer).toBe('/home/models/llama')
    await ask('model')
    expect(field().element.value).toBe('/home/models')
  })
})
