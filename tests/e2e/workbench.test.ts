import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { AxeResults } from 'axe-core'
import { _electron, type Browser, type ElectronApplication, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { launchBrowser } from '../support/browser'
import { PROJECT } from '../support/built'
import { has } from '../support/requirements'
import {
  chooseMethod,
  go,
  isolated,
  listen,
  makeTrainingLong,
  openDemo,
  openView,
  openWindow,
  pickFolder,
  ServedWorkbench,
  startRun,
  type OpenWindow,
} from '../support/servedWorkbench'

const DEMO = join(PROJECT, 'resources/demo-model')
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const FINISHED = 'What next'

/** How a destination for exports is chosen on a host. */
type PickDestination = (page: Page, folder: string) => Promise<void>

/** The whole way once: a project, a plan, a run that is watched, its pictures, the comparison, an export. */
async function goTheWholeWay(page: Page, folder: string, pick: PickDestination): Promise<string> {
  await openDemo(page)
  await chooseMethod(page, 'LESA')
  await page
    .getByText(/12 → 18|18 layers/)
    .first()
    .waitFor()

  const run = await startRun(page)
  await run.getByText('Running', { exact: true }).waitFor()
  await run.getByRole('row', { name: /^q_proj/ }).waitFor()
  await run.getByText(FINISHED).waitFor()
  await run.getByText('12 → 18 layers').first().waitFor()
  expect(await run.getByRole('row', { name: /^down_proj done, / }).count()).toBe(1)
  await run.getByRole('group', { name: /^Training loss of q_proj, .* down_proj$/ }).waitFor()

  await run.getByRole('link', { name: /Look at the layers/ }).click()
  const plane = page.getByRole('group', { name: /^18 layers of gate_proj .*PCA/ })
  await plane.waitFor()
  await page.getByRole('button', { name: /^Show as a table: Top direction of gate_proj/ }).click()
  const points = page.getByRole('region', { name: /^Top direction of gate_proj.* as a table$/ })
  expect(await points.getByRole('cell', { name: 'predicted' }).count()).toBe(6)
  expect(await points.getByRole('cell', { name: 'base', exact: true }).count()).toBe(12)

  await openView(page, 'Compare')
  await page.getByRole('button', { name: 'Measure 2 models' }).click()
  const table = page.getByRole('region', { name: 'The base model and the finished runs' })
  await table.getByRole('columnheader', { name: /Perplexity, eval.txt/ }).waitFor()
  // What the demo model was measured to have; see resources/demo-model.
  await table
    .getByRole('row', { name: /Base model/ })
    .getByRole('cell', { name: '1.5536' })
    .waitFor()

  await openView(page, 'Export')
  await page.getByRole('button', { name: 'Choose where to write' }).click()
  await pick(page, folder)
  await page.getByLabel('Folder name').fill('grown')
  await page.getByRole('button', { name: 'Export', exact: true }).click()
  const checks = page.getByRole('list', { name: 'Checklist' })
  await checks.getByText('The original layers are bit-identical').waitFor()
  expect(await checks.getByText('failed').count()).toBe(0)
  expect(await checks.getByText('passed').count()).toBeGreaterThanOrEqual(5)
  return join(folder, 'grown')
}

interface StoredTensor {
  readonly shape: readonly number[]
  readonly bytes: Buffer
}

/** Reads a checkpoint of one file without any of the program's own code. */
function readCheckpoint(folder: string): Map<string, StoredTensor> {
  const file = openSync(join(folder, 'model.safetensors'), 'r')
  const read = (length: number, at: number): Buffer => {
    const buffer = Buffer.alloc(length)
    readSync(file, buffer, 0, length, at)
    return buffer
  }
  const length = Number(read(8, 0).readBigUInt64LE())
  const header = JSON.parse(read(length, 8).toString('utf8')) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >
  const tensors = new Map<string, StoredTensor>()
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [start, end] = entry.data_offsets
    tensors.set(name, { shape: entry.shape, bytes: read(end - start, 8 + length + start) })
  }
  closeSync(file)
  return tensors
}

/** The exported folder is a checkpoint of 18 layers, whose old ones are the demo model's to the last bit. */
function expectGrown(out: string): void {
  const config: unknown = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))
  expect(config).toMatchObject({ num_hidden_layers: 18 })
  expect(readdirSync(out)).toEqual(expect.arrayContaining(['README.md', 'tokenizer.json']))
  const base = readCheckpoint(DEMO)
  const grown = readCheckpoint(out)
  const perLayer = [...base.keys()].filter((name) => name.startsWith('model.layers.0.')).length
  expect(grown.size).toBe(base.size + 6 * perLayer)
  // One new layer in each of the gaps 5 … 10.
  for (const [name, { shape, bytes }] of base) {
    const moved = name.replace(/^model\.layers\.(\d+)\./, (_match, layer: string) => {
      const index = Number(layer)
      return `model.layers.${index + Math.max(0, index - 5)}.`
    })
    const found = grown.get(moved)
    expect(found?.shape, moved).toEqual(shape)
    expect(found?.bytes.equals(bytes), moved).toBe(true)
  }
}

/** Everything within a folder, as relative paths. */
function everythingIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
}

describe.skipIf(!has('chromium'))('the workbench, in a browser', () => {
  let folder: string
  let server: ServedWorkbench
  let browser: Browser
  let opened: OpenWindow[] = []

  async function open(options: Parameters<typeof openWindow>[2] = {}): Promise<Page> {
    const window = await openWindow(browser, server.url, options)
    opened.push(window)
    return window.page
  }

  beforeAll(async () => {
    browser = await launchBrowser()
  })

  afterAll(() => browser.close())

  // Each with a program of its own, so that none finds what another has left.
  beforeEach(async () => {
    opened = []
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa-workbench-')))
    server = await ServedWorkbench.start(join(folder, 'home'))
  })

  afterEach(async () => {
    for (const { context } of opened) await context.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Nothing was refused by the page's policy, nothing threw. */
  function expectNoComplaints(): void {
    for (const { complaints } of opened) expect(complaints).toEqual([])
  }

  it('goes from a model to an exported checkpoint', async () => {
    const out = join(folder, 'exports')
    mkdirSync(out)
    const page = await open()
    expectGrown(await goTheWholeWay(page, out, pickFolder))
    expectNoComplaints()
  })

  it('leaves nothing unfinished of a run that is cancelled halfway, and goes on with it', async () => {
    const page = await open()
    await openDemo(page)
    await makeTrainingLong(page)
    const run = await startRun(page)
    // Its decomposition is done, so that there is something to go on with.
    await run.getByRole('row', { name: /^q_proj done, .*running, / }).waitFor()
    await run.getByRole('button', { name: 'Cancel' }).click()
    await run.getByText('Cancelled', { exact: true }).waitFor()
    const left = everythingIn(join(folder, 'home', 'LESA Workbench'))
    expect(left.filter((path) => path.includes('.partial'))).toEqual([])
    expect(left.filter((path) => /runs.*safetensors$/.test(path))).toEqual([])

    await run.getByRole('button', { name: 'Resume' }).click()
    await run.getByText('Running', { exact: true }).waitFor()
    await run.getByRole('button', { name: 'Cancel' }).click()
    await run.getByText('Cancelled', { exact: true }).waitFor()
    expectNoComplaints()
  })

  it('finds the run where it is when the page is loaded again', async () => {
    const page = await open()
    await openDemo(page)
    await makeTrainingLong(page)
    const run = await startRun(page)
    await run.getByRole('group', { name: 'Training loss of q_proj' }).waitFor()
    const place = page.url()

    await page.reload()
    expect(page.url()).toBe(place)
    await run.getByText('Running', { exact: true }).waitFor()
    await run.getByRole('group', { name: 'Training loss of q_proj' }).waitFor()
    await run.getByRole('row', { name: /^q_proj done, / }).waitFor()
    await page.keyboard.press('Control+.')
    await run.getByText('Cancelled', { exact: true }).waitFor()
    expectNoComplaints()
  })

  it('shows the same in two windows, and lets either cancel', async () => {
    const first = await open()
    const place = await openDemo(first)
    await makeTrainingLong(first)
    const run = await startRun(first)
    await run.getByText('Running', { exact: true }).waitFor()

    const second = await open({ at: `${place}/run` })
    const same = second.getByRole('article')
    await same.getByText('Running', { exact: true }).waitFor()
    await same.getByRole('button', { name: 'Cancel' }).click()
    await run.getByText('Cancelled', { exact: true }).waitFor()
    await same.getByText('Cancelled', { exact: true }).waitFor()
    expectNoComplaints()
  })

  it('queues a second run and takes it out again', async () => {
    const page = await open()
    await openDemo(page)
    await makeTrainingLong(page)
    const run = await startRun(page)
    await run.getByText('Running', { exact: true }).waitFor()
    await startRun(page)
    await run.getByText('Waiting', { exact: true }).waitFor()
    const queue = page.getByRole('region', { name: 'Queue' })
    await queue.getByRole('button', { name: /out of the queue$/ }).click()
    await run.getByText('Cancelled', { exact: true }).waitFor()
    await queue.waitFor({ state: 'hidden' })
    await page
      .getByRole('navigation', { name: 'Runs' })
      .getByText(/Running/)
      .click()
    await run.getByRole('button', { name: 'Cancel' }).click()
    await run.getByText('Cancelled', { exact: true }).waitFor()
    expectNoComplaints()
  })

  it('says what is wrong with a broken model', async () => {
    const broken = join(folder, 'broken')
    cpSync(DEMO, broken, { recursive: true })
    truncateSync(join(broken, 'model.safetensors'), 1_000)
    const page = await open()
    await page.getByRole('button', { name: /^Open model/ }).click()
    await pickFolder(page, broken)
    const alert = page.getByRole('alert').first()
    await alert.waitFor()
    expect(await alert.textContent()).toMatch(/model\.safetensors/)
    expectNoComplaints()
  })

  it('says before an export why it cannot be written', async () => {
    const page = await open()
    await openDemo(page)
    await chooseMethod(page, 'SOLAR')
    const run = await startRun(page)
    await run.getByText(FINISHED).waitFor()
    const taken = join(folder, 'taken')
    mkdirSync(taken)
    writeFileSync(join(taken, 'grown'), 'not a folder')
    await openView(page, 'Export')
    await page.getByRole('button', { name: 'Choose where to write' }).click()
    await pickFolder(page, taken)
    await page.getByLabel('Folder name').fill('grown')
    await page.getByRole('alert').filter({ hasText: 'cannot be written' }).waitFor()
    expect(await page.getByRole('button', { name: 'Export', exact: true }).isDisabled()).toBe(true)
    expect(readFileSync(join(taken, 'grown'), 'utf8')).toBe('not a folder')

    // A place where nobody may write; root may everywhere else.
    const closed = process.platform === 'linux' ? '/proc' : join(folder, 'closed')
    if (!existsSync(closed)) mkdirSync(closed)
    if (closed !== '/proc') chmodSync(closed, 0o500)
    await page.getByRole('button', { name: 'Choose where to write' }).click()
    await pickFolder(page, closed)
    const start = page.getByRole('button', { name: 'Export', exact: true })
    const refused = page.getByRole('alert').first()
    await page.getByText(`${closed}/grown`).first().waitFor()
    await page.locator('[aria-busy=true]').waitFor({ state: 'detached' })
    // Said at once, or as soon as it is tried.
    if (await start.isEnabled()) await start.click()
    await refused.waitFor()
    expectNoComplaints()
  })

  it('takes a model whose path has spaces, umlauts and 200 letters', async () => {
    const name = `Größe und Länge ${'ä'.repeat(60)} ${'x'.repeat(60)} `.padEnd(199, 'y') + 'z'
    expect(name.length).toBe(200)
    // File systems count bytes: two levels share the letters.
    const model = join(folder, name.slice(0, 100), name.slice(100))
    cpSync(DEMO, model, { recursive: true })
    const page = await open()
    await page.getByRole('button', { name: /^Open model/ }).click()
    await pickFolder(page, model)
    // The start view has a button of that name, too: wait until it has gone.
    await page.getByRole('tab', { name: /^Tensors/ }).waitFor()
    await page
      .getByRole('button', { name: /^New project/ })
      .first()
      .click()
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Create/ })
      .click()
    await page.waitForURL(/#\/project\//)
    await chooseMethod(page, 'Neighbour mean')
    const run = await startRun(page)
    await run.getByText(FINISHED).waitFor()
    await openView(page, 'Export')
    await page.getByRole('button', { name: 'Choose where to write' }).click()
    await pickFolder(page, join(model, '..'))
    await page.getByLabel('Folder name').fill('größer')
    await page.getByRole('button', { name: 'Export', exact: true }).click()
    await page.getByText('was read back and is what it should be').waitFor()
    expectGrown(join(model, '..', 'größer'))
    expectNoComplaints()
  })
})

describe.skipIf(!has('chromium'))('every view of the workbench', () => {
  const screenshots = join(PROJECT, 'test-results/screenshots')
  let folder: string
  let server: ServedWorkbench
  let browser: Browser
  let place: string

  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa-workbench-')))
    mkdirSync(screenshots, { recursive: true })
    browser = await launchBrowser()
    server = await ServedWorkbench.start(join(folder, 'home'))
    const { context, page } = await openWindow(browser, server.url)
    place = await openDemo(page)
    for (const method of ['SOLAR', 'LESA']) {
      await chooseMethod(page, method)
      const run = await startRun(page)
      await run.getByText(FINISHED).waitFor()
    }
    await openView(page, 'Compare')
    await page.getByRole('button', { name: 'Measure 3 models' }).click()
    await page.getByRole('columnheader', { name: /Perplexity/ }).waitFor()
    await context.close()
  })

  afterAll(async () => {
    await browser.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Where each view is, and what shows that it is complete. */
  const views = [
    ['start', '', /Try the demo/],
    ['settings', 'settings', /Theme/],
    ['model', 'model', /tok_embeddings|embed_tokens|LlamaForCausalLM/],
    ['plan', 'plan', /Neighbour mean/],
    ['parameters', 'parameters', /Learning rate/],
    ['run-new', 'run?run=new', /at its peak/],
    ['run', 'run', /What next/],
    ['layers', 'layers', /The plane holds/],
    ['compare', 'compare', /Perplexity, eval/],
    ['export', 'export', /Where it goes/],
  ] as const

  describe.each([
    { width: 1440, height: 900 },
    { width: 1024, height: 700 },
  ])('at $width × $height', (viewport) => {
    it.each(['light', 'dark'] as const)(
      'fits, and is accessible, in the %s theme',
      async (colorScheme) => {
        const { context, page, complaints } = await openWindow(browser, server.url, {
          viewport,
          colorScheme,
        })
        for (const [name, path, sign] of views) {
          const isGlobal = name === 'start' || name === 'settings'
          await go(page, isGlobal ? `/${path}` : `${place}/${path}`)
          if (name === 'run') {
            await page.getByRole('navigation', { name: 'Runs' }).getByText('LESA').first().click()
          }
          await page.getByText(sign).first().waitFor()
          const file = `workbench-${viewport.width}-${colorScheme}-${name}.png`
          await page.screenshot({ path: join(screenshots, file) })
          const overflow = await page.evaluate(
            () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
          )
          expect(overflow, `${name}: the page is wider than the window`).toBe(0)
          // Evaluated by the debugger, which the page's policy does not bind.
          const { violations } = await page.evaluate<AxeResults>(
            `${AXE}; axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })`,
          )
          const found = violations.flatMap(({ id, nodes }) =>
            nodes.map(({ html }) => `${id}: ${html.slice(0, 300)}`),
          )
          expect.soft(found, name).toEqual([])
        }
        expect(complaints).toEqual([])
        await context.close()
      },
    )
  })
})

/**
 * Electron's program, where its package has fetched one (requiring the package would fetch it), and a screen to show it
 * on; `null` where either is missing.
 */
function findElectron(): string | null {
  const folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'))
  const note = join(folder, 'path.txt')
  const hasScreen =
    process.platform !== 'linux' ||
    ['DISPLAY', 'WAYLAND_DISPLAY'].some((name) => (process.env[name] ?? '') !== '')
  if (!hasScreen || !existsSync(note)) return null
  const path = join(folder, 'dist', readFileSync(note, 'utf8').trim())
  return existsSync(path) ? path : null
}

const electron = findElectron()

// Nobody has to have Electron to work on this; that its tests did not run is said all the same.
if (electron === null) {
  console.warn('SKIPPED: the workbench as a desktop program (no Electron binary, or no screen)')
} else {
  describe('the workbench, as a desktop program', () => {
    let folder: string
    let app: ElectronApplication

    beforeAll(async () => {
      folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa-electron-')))
      const { ELECTRON_RUN_AS_NODE: _, ...env } = isolated(folder)
      app = await _electron.launch({
        executablePath: electron,
        args: [...(process.platform === 'linux' ? ['--no-sandbox'] : []), PROJECT],
        env: Object.fromEntries(
          Object.entries(env).flatMap(([key, value]) =>
            value === undefined ? [] : [[key, value]],
          ),
        ),
      })
    })

    afterAll(async () => {
      await app.close()
      rmSync(folder, { recursive: true, force: true })
    })

    it('goes from a model to an exported checkpoint', async () => {
      const out = join(folder, 'exports')
      mkdirSync(out)
      const page = await app.firstWindow()
      const complaints: string[] = []
      listen(page, complaints)
      // The native dialog cannot be driven; it answers what a person would choose.
      await app.evaluate(({ dialog }, path) => {
        dialog.showOpenDialog = () => Promise.resolve({ canceled: false, filePaths: [path] })
      }, out)
      expectGrown(await goTheWholeWay(page, out, () => Promise.resolve()))
      expect(complaints).toEqual([])
    })
  })
}
