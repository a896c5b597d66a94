import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { AppError } from '@shared/errors'
import { MAX_UPLOAD_BYTES, type ProjectText, type TextSource } from '@shared/projects'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, describe, expect, it } from 'vitest'
import { Client, CLIENT } from '../../../../src/renderer/src/api/client'
import { useProjectStore } from '../../../../src/renderer/src/stores/project'
import AddTextsDialog from '../../../../src/renderer/src/views/compare/AddTextsDialog.vue'
import { sourceOf, uploadOf } from '../../../../src/renderer/src/views/compare/uploads'
import { FakeTransport } from '../../../support/fakeTransport'
import { PROJECT_ID, projectView } from '../../../support/projects'
import { appInfo } from '../../../support/summaries'

let dialog: VueWrapper
let transport: FakeTransport

/** Texts by their content, as the program keeps them. */
async function open(droppedPath: string | null = null): Promise<TextSource[]> {
  const sources: TextSource[] = []
  const texts = new Map<string, ProjectText>()
  transport = new FakeTransport({
    'app:info': () => appInfo(),
    'devices:list': () => [],
    'projects:get': () => projectView(),
    'projects:addText': (_id, source) => {
      sources.push(source)
      const [name, content] =
        typeof source === 'string' ? [source, source] : [source.name, source.content]
      if (content === 'bad') throw new AppError('bad_request', `${name} cannot be used.`)
      const known = texts.get(content)
      const text = known ?? { id: String(texts.size), name, bytes: 1, exists: true }
      texts.set(content, text)
      return { project: projectView(), text, isNew: known === undefined }
    },
  })
  transport.droppedPath = droppedPath
  const pinia = createPinia()
  setActivePinia(pinia)
  dialog = mount(AddTextsDialog, {
    attachTo: document.body,
    props: { modelValue: true },
    global: { plugins: [pinia], provide: { [CLIENT as symbol]: new Client(transport) } },
  }) as VueWrapper
  await useProjectStore().load(PROJECT_ID)
  await flushPromises()
  return sources
}

async function choose(...files: File[]): Promise<void> {
  const input = dialog.get('input[type=file]')
  Object.defineProperty(input.element, 'files', { value: files, configurable: true })
  Object.defineProperty(input.element, 'value', { value: '', configurable: true, writable: true })
  await input.trigger('change')
  await flushPromises()
}

afterEach(() => dialog.unmount())

const file = (name: string, content: BlobPart): File => new File([content], name)

describe('adding texts', () => {
  it('sends several files at once, what is in them', async () => {
    const sources = await open()
    await choose(file('a.txt', 'eins'), file('b.txt', 'zwei'))
    await expect
      .poll(() => sources)
      .toEqual([
        { name: 'a.txt', content: 'eins' },
        { name: 'b.txt', content: 'zwei' },
      ])
    await expect.poll(() => dialog.emitted('update:modelValue')).toEqual([[false]])
  })

  it('sends paths where the host knows them', async () => {
    const sources = await open('/home/someone/a.txt')
    await choose(file('a.txt', 'eins'))
    await expect.poll(() => sources).toEqual(['/home/someone/a.txt'])
  })

  it('says what is there already and what cannot be used, and adds the rest', async () => {
    const sources = await open()
    await choose(file('a.txt', 'eins'), file('b.txt', 'eins'), file('c.txt', 'bad'), file('d', 'x'))
    await expect.poll(() => sources.length).toBe(4)
    await expect
      .poll(() => dialog.text())
      .toContain('“b.txt” has the same content as “a.txt”, which is in the project already')
    expect(dialog.text()).toContain('c.txt cannot be used.')
    expect(dialog.emitted('added')).toHaveLength(3)
  })

  it('sends what is pasted, under a name', async () => {
    const sources = await open()
    await dialog.get('textarea').setValue('Ein Text.')
    await dialog.get('input:not([type=file])').setValue('mein Text')
    const add = dialog.findAll('button').find((button) => button.text() === 'Add the pasted text')
    await add?.trigger('click')
    await expect.poll(() => sources).toEqual([{ name: 'mein Text', content: 'Ein Text.' }])
  })
})

describe('a text that is sent', () => {
  it('is UTF-8, and no longer than what a message holds', async () => {
    await expect(sourceOf(file('a', Uint8Array.of(0x47, 0xf6)), null)).rejects.toMatchObject({
      code: 'bad_request',
      message: 'a cannot be used: it is not UTF-8 text.',
    })
    expect(() => uploadOf('a', 'x'.repeat(MAX_UPLOAD_BYTES))).toThrow(/longer than 4.00 MB/)
    // As it is written into a message, where line ends take two bytes.
    expect(() => uploadOf('a', '\n'.repeat(MAX_UPLOAD_BYTES / 2))).toThrow(/longer/)
    expect(uploadOf('a', 'x'.repeat(MAX_UPLOAD_BYTES - 100))).toHaveProperty('name', 'a')
    await expect(sourceOf(file('big', new Uint8Array(MAX_UPLOAD_BYTES + 1)), null)).rejects.toThrow(
      /big cannot be sent/,
    )
  })
})
