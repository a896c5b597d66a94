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
import { join } from 'node:path'
import type { AxeResults } from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { launchBrowser } from '../support/browser'
import { PROJECT } from '../support/built'
import { browserHost, electronHost, type Host, type Session } from '../support/hosts'
import { has } from '../support/requirements'
import {
  chooseMethod,
  go,
  makeTrainingLong,
  makeTrainingShort,
  openDemo,
  openView,
  openWindow,
  ServedWorkbench,
  startRun,
} from '../support/servedWorkbench'

const DEMO = join(PROJECT, 'resources/demo-model')
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const FINISHED = 'What next'

/** The whole way once: a project, a plan, a run that is watched, its pictures, the comparison, an export. */
async function goTheWholeWay(session: Session, page: Page, folder: string): Promise<string> {
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
  await chooseDestination(session, page, folder)
  await page.getByLabel('Folder name').fill('grown')
  await page.getByRole('button', { name: 'Export', exact: true }).click()
  const checks = page.getByRole('list', { name: 'Checklist' })
  await checks.getByText('The original layers are bit-identical').waitFor()
  expect(await checks.getByText('failed').count()).toBe(0)
  expect(await checks.getByText('passed').count()).toBeGreaterThanOrEqual(5)
  const out = join(folder, 'grown')
  await page.getByRole('tab', { name: 'Several GPUs' }).click()
  await page.getByText(/torchrun .*train\.py/).waitFor()
  expect(existsSync(join(out, 'recipes', 'train.py'))).toBe(true)
  await comeBack(session, page, trainedFrom(out))
  return out
}

/** A copy of a grown checkpoint of which one weight of a new layer was changed. */
function trainedFrom(grown: string): string {
  const trained = `${grown} trained`
  cpSync(grown, trained, { recursive: true })
  const file = join(trained, 'model.safetensors')
  const content = readFileSync(file)
  const length = Number(content.readBigUInt64LE(0))
  const header = JSON.parse(content.toString('utf8', 8, 8 + length)) as Record<
    string,
    { data_offsets: [number, number] }
  >
  const [start = 0] = header['model.layers.6.mlp.up_proj.weight']?.data_offsets ?? []
  content.writeUInt16LE(content.readUInt16LE(8 + length + start) ^ 0x40, 8 + length + start)
  writeFileSync(file, content)
  return trained
}

/** Adds a checkpoint that was trained elsewhere, and looks at what was changed. */
async function comeBack(session: Session, page: Page, trained: string): Promise<void> {
  await openView(page, 'Compare')
  await session.choose(page, trained, () =>
    page.getByRole('button', { name: 'Add a trained checkpoint…' }).click(),
  )
  await page.getByRole('button', { name: 'Compare and add' }).click()
  await page.getByRole('button', { name: 'Show what changed' }).click()
  await page
    .getByText(/^1 of 6 new layers was changed.* every original weight is bit-identical/)
    .waitFor()
  await page.getByRole('group', { name: /^How far each of 18 layers moved/ }).waitFor()
}

/** Chooses where the Export view writes. */
function chooseDestination(session: Session, page: Page, folder: string): Promise<void> {
  return session.choose(page, folder, () =>
    page.getByRole('button', { name: 'Choose where to write' }).click(),
  )
}

/** Opens a model from the start view. */
function openModel(session: Session, page: Page, folder: string): Promise<void> {
  return session.choose(page, folder, () =>
    page.getByRole('button', { name: /^Open model/ }).click(),
  )
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

/** Every host that this machine has; that the tests of another did not run is said. */
const hosts: [string, () => Host | Promise<Host>][] = []
if (has('chromium')) hosts.push(['in a browser', browserHost])
else console.warn('SKIPPED: the workbench in a browser (no Chromium)')
if (has('electron')) hosts.push(['as a desktop program', electronHost])
else console.warn('SKIPPED: the workbench as a desktop program (no Electron binary, or no screen)')

describe.each(hosts)('the workbench, %s', (name, launch) => {
  let folder: string
  let host: Host
  let session: Session

  beforeAll(async () => {
    host = await launch()
  })

  afterAll(() => host.stop())

  // Each with a program of its own, so that none finds what another has left.
  beforeEach(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa-workbench-')))
    session = await host.start(join(folder, 'home'))
  })

  afterEach(async () => {
    await session.end()
    // Some systems hold files for a moment after their process has gone.
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  })

  it('goes from a model to an exported checkpoint', async () => {
    const out = join(folder, 'exports')
    mkdirSync(out)
    const page = await session.open()
    expectGrown(await goTheWholeWay(session, page, out))
    expect(session.complaints).toEqual([])
  })

  it('leaves nothing unfinished of a run that is cancelled halfway, and goes on with it', async () => {
    const page = await session.open()
    await openDemo(page)
    await makeTrainingLong(page)
    const run = await startRun(page)
    // Its decomposition is done, so that there is something to go on with.
    await run.getByRole('row', { name: /^q_proj done, .*running, / }).waitFor()
    await run.getByRole('button', { name: 'Cancel' }).click()
    await run.getByText('Cancelled', { exact: true }).waitFor()
    const left = everythingIn(session.projects)
    expect(left.filter((path) => path.includes('.partial'))).toEqual([])
    expect(left.filter((path) => /runs.*safetensors$/.test(path))).toEqual([])

    await run.getByRole('button', { name: 'Resume' }).click()
    await run.getByText('Running', { exact: true }).waitFor()
    await run.getByRole('button', { name: 'Cancel' }).click()
    await run.getByText('Cancelled', { exact: true }).waitFor()
    expect(session.complaints).toEqual([])
  })

  it('finds the run where it is when the page is loaded again', async () => {
    const page = await session.open()
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
    expect(session.complaints).toEqual([])
  })

  // The desktop program has one window.
  if (name === 'in a browser') {
    it('shows the same in two windows, and lets either cancel', async () => {
      const first = await session.open()
      const place = await openDemo(first)
      await makeTrainingLong(first)
      const run = await startRun(first)
      await run.getByText('Running', { exact: true }).waitFor()

      const second = await session.open({ at: `${place}/run` })
      const same = second.getByRole('article')
      await same.getByText('Running', { exact: true }).waitFor()
      await same.getByRole('button', { name: 'Cancel' }).click()
      await run.getByText('Cancelled', { exact: true }).waitFor()
      await same.getByText('Cancelled', { exact: true }).waitFor()
      expect(session.complaints).toEqual([])
    })
  }

  it('queues a second run and takes it out again', async () => {
    const page = await session.open()
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
    expect(session.complaints).toEqual([])
  })

  it('trains two starts beside each other, of which one is grown for it, and looks at what came of it', async () => {
    const page = await session.open()
    await openDemo(page)
    await chooseMethod(page, 'SOLAR')
    const run = await startRun(page)
    await run.getByText(FINISHED).waitFor()
    await run.getByRole('link', { name: /Train it further/ }).click()
    await page.getByRole('heading', { name: 'What is trained' }).waitFor()
    // What trains predictors takes longer than this test is about.
    await page.getByRole('button', { name: 'Compare starts' }).click()
    for (const name of ['LESA', 'LLaMA Pro', 'Noise control']) {
      await page.getByRole('button', { name: `Do not grow ${name}` }).click()
    }
    expect(await page.getByRole('button', { name: 'Do not grow Neighbour mean' }).count()).toBe(1)
    await page.locator('summary', { hasText: 'All settings' }).click()
    for (const [label, value] of [
      ['Length', '4'],
      ['Context', '32'],
      ['Batch', '2'],
      ['Evaluate every', '2'],
      ['Share held back', '0.01'],
    ] as const) {
      await page.getByLabel(label, { exact: true }).fill(value)
    }
    await page.getByLabel('Name', { exact: true }).fill('A short race')
    await page.getByRole('button', { name: 'Train 2 models' }).click()
    const training = page.getByRole('article', { name: 'A short race' })
    await training.getByText('Finished', { exact: true }).waitFor()
    await training.getByRole('heading', { name: 'What this shows' }).waitFor()
    await training.getByRole('group', { name: /^Loss of SOLAR and Neighbour mean/ }).waitFor()
    const outcome = training.getByRole('region', { name: 'What became of each' })
    // Each trained model becomes a run a moment after the training has ended.
    await outcome.getByRole('link', { name: 'Export' }).nth(1).waitFor()
    expect(await outcome.getByRole('link', { name: 'Export' }).count()).toBe(2)

    await page.reload()
    await training.getByRole('region', { name: /^What it took to come to the loss/ }).waitFor()
    await outcome.getByRole('link', { name: 'Export' }).first().click()
    await page.getByText('Where it goes').waitFor()
    expect(session.complaints).toEqual([])
  })

  it('compares methods at one depth by one click, and ends in sentences', async () => {
    const page = await session.open()
    await openDemo(page)
    await chooseMethod(page, 'Neighbour mean')
    const run = await startRun(page)
    await run.getByText(FINISHED).waitFor()
    await run.getByRole('button', { name: 'Compare all at this depth…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Compare all methods at this depth' })
    // What trains predictors takes longer than this test is about.
    for (const name of ['LESA', 'Noise control']) {
      await dialog.getByRole('checkbox', { name, exact: true }).uncheck()
    }
    // The bundled text is measured on; what is fitted must have seen another.
    const start = dialog.getByRole('button', { name: /^Compare \d methods$/ })
    expect(await start.isDisabled()).toBe(true)
    await dialog.getByRole('button', { name: 'Cut the measured text in two' }).click()
    await start.click()
    await page.getByText('All methods are compared').waitFor()
    await openView(page, 'Compare')
    for (const sentence of [
      /LLaMA Pro is the same as the base at every window/,
      /Neighbour mean is worse than the base and zero \(LLaMA Pro\) by/,
      /SOLAR is worse than the base and zero \(LLaMA Pro\) by/,
    ]) {
      await page.getByText(sentence).first().waitFor()
    }
    const table = page.getByRole('region', { name: 'The base model and the finished runs' })
    const rows = table.getByRole('row')
    expect(await rows.nth(1).textContent()).toContain('model')
    expect(await table.getByRole('row', { name: /Fitted/ }).count()).toBe(1)
    expect(session.complaints).toEqual([])
  })

  it('says what is wrong with a broken model', async () => {
    const broken = join(folder, 'broken')
    cpSync(DEMO, broken, { recursive: true })
    truncateSync(join(broken, 'model.safetensors'), 1_000)
    const page = await session.open()
    await openModel(session, page, broken)
    const alert = page.getByRole('alert').first()
    await alert.waitFor()
    expect(await alert.textContent()).toMatch(/model\.safetensors/)
    expect(session.complaints).toEqual([])
  })

  it('says before an export why it cannot be written', async () => {
    const page = await session.open()
    await openDemo(page)
    await chooseMethod(page, 'SOLAR')
    const run = await startRun(page)
    await run.getByText(FINISHED).waitFor()
    const taken = join(folder, 'taken')
    mkdirSync(taken)
    writeFileSync(join(taken, 'grown'), 'not a folder')
    await openView(page, 'Export')
    await chooseDestination(session, page, taken)
    await page.getByLabel('Folder name').fill('grown')
    await page.getByRole('alert').filter({ hasText: 'cannot be written' }).waitFor()
    expect(await page.getByRole('button', { name: 'Export', exact: true }).isDisabled()).toBe(true)
    expect(readFileSync(join(taken, 'grown'), 'utf8')).toBe('not a folder')

    // A folder's mode does not keep its owner out on Windows.
    if (process.platform === 'win32') return
    // A place where nobody may write; root may everywhere else.
    const closed = process.platform === 'linux' ? '/proc' : join(folder, 'closed')
    if (!existsSync(closed)) mkdirSync(closed)
    if (closed !== '/proc') chmodSync(closed, 0o500)
    await chooseDestination(session, page, closed)
    const start = page.getByRole('button', { name: 'Export', exact: true })
    const refused = page.getByRole('alert').first()
    await page.getByText(`${closed}/grown`).first().waitFor()
    await page.locator('[aria-busy=true]').waitFor({ state: 'detached' })
    // Said at once, or as soon as it is tried.
    if (await start.isEnabled()) await start.click()
    await refused.waitFor()
    expect(session.complaints).toEqual([])
  })

  it('takes a model whose path has spaces, umlauts and 200 letters', async () => {
    const name = `Größe und Länge ${'ä'.repeat(60)} ${'x'.repeat(60)} `.padEnd(199, 'y') + 'z'
    expect(name.length).toBe(200)
    // File systems count bytes: two levels share the letters.
    const model = join(folder, name.slice(0, 100), name.slice(100))
    cpSync(DEMO, model, { recursive: true })
    const page = await session.open()
    await openModel(session, page, model)
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
    await chooseDestination(session, page, join(model, '..'))
    await page.getByLabel('Folder name').fill('größer')
    await page.getByRole('button', { name: 'Export', exact: true }).click()
    await page.getByText('was read back and is what it should be').waitFor()
    expectGrown(join(model, '..', 'größer'))
    expect(session.complaints).toEqual([])
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
      if (method === 'LESA') await makeTrainingShort(page)
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
    ['train', 'train?training=new', /What is trained/],
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
