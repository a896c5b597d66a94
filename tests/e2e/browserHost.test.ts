import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { AxeResults } from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { launchBrowser } from '../support/browser'
import { built, PROJECT } from '../support/built'
import { has } from '../support/requirements'

/** The whole program as a person has it without Electron: the command line, the engine, the page, a real browser. */
describe.skipIf(!has('chromium'))('lesa serve, in a browser', () => {
  const screenshots = join(PROJECT, 'test-results/screenshots')
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

  let folder: string
  let server: ChildProcess
  let url: string
  let browser: Browser
  let context: BrowserContext
  let page: Page
  /** What the page complained of: policy violations, failed requests, exceptions. */
  let complaints: string[]

  async function startServer(port: number): Promise<void> {
    server = spawn(process.execPath, [built('main/cli.js'), 'serve', '--port', String(port)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    if (!server.stdout) throw new Error('The server has no output.')
    const [line] = (await once(createInterface(server.stdout), 'line')) as [string]
    url = line
  }

  async function stopServer(): Promise<void> {
    const ended = once(server, 'exit')
    server.kill()
    await ended
  }

  async function openPage(options: Parameters<Browser['newContext']>[0] = {}): Promise<void> {
    context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options })
    page = await context.newPage()
    complaints = []
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        complaints.push(message.text())
      }
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(url)
    await page.getByRole('heading', { name: 'LESA Workbench' }).waitFor()
  }

  async function openDemoModel(): Promise<void> {
    await page.getByRole('button', { name: 'Use the demo model' }).click()
    await page.getByRole('heading', { name: 'LlamaForCausalLM' }).waitFor()
  }

  /** Sets a training that goes on for minutes if nobody stops it, starts it, and waits until it trains. */
  async function startLongJob(out: string): Promise<void> {
    await page.getByLabel('Steps', { exact: true }).fill('1000000')
    await page.getByLabel('Output folder').fill(out)
    await page.getByRole('button', { name: 'Grow the model' }).click()
    await page.getByRole('rowheader', { name: /loss/ }).first().waitFor()
  }

  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa-e2e-')))
    mkdirSync(screenshots, { recursive: true })
    browser = await launchBrowser()
    await startServer(0)
  })

  afterAll(async () => {
    await browser.close()
    await stopServer()
    rmSync(folder, { recursive: true, force: true })
  })

  beforeEach(() => {
    for (const name of readdirSync(folder)) {
      rmSync(join(folder, name), { recursive: true, force: true })
    }
  })

  afterEach(async () => {
    await context.close()
  })

  it('lets nobody in without the secret', async () => {
    context = await browser.newContext()
    page = await context.newPage()
    const response = await page.goto(new URL('/', url).href)
    expect(response?.status()).toBe(401)
    expect(await page.textContent('body')).toContain('Open the address that the program printed')
  })

  it('shows the secret neither in the address nor in the history, and to no script', async () => {
    await openPage()
    expect(page.url()).toBe(new URL('/', url).href)
    expect(await page.evaluate(() => document.cookie)).toBe('')
    await page.goBack()
    expect(page.url()).toBe('about:blank')
  })

  it('cannot be called by another site that is open in the same browser', async () => {
    await openPage()
    const cookies = await context.cookies()
    expect(cookies).toMatchObject([{ httpOnly: true, sameSite: 'Strict' }])
    const stranger = await context.newPage()
    const { port } = new URL(url)
    await stranger.route('http://stranger.test/**', (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }),
    )
    await stranger.goto('http://stranger.test/')
    const opened = await stranger.evaluate(
      (address) =>
        new Promise<string>((resolve) => {
          const socket = new WebSocket(address)
          socket.onopen = () => resolve('opened')
          socket.onerror = () => resolve('refused')
        }),
      `ws://127.0.0.1:${port}/socket`,
    )
    expect(opened).toBe('refused')
  })

  it('opens a model, grows it, and shows the result', async () => {
    cpSync(join(PROJECT, 'resources/demo-model'), join(folder, 'base'), { recursive: true })
    mkdirSync(join(folder, 'other'))
    await openPage()
    await page.getByLabel('Checkpoint folder').fill(folder)
    await page.getByRole('button', { name: 'Choose a model' }).click()
    const dialog = page.getByRole('dialog', { name: 'Choose a model' })
    await dialog.getByRole('button', { name: 'base model' }).click()
    await page.getByRole('heading', { name: 'LlamaForCausalLM' }).waitFor()
    expect(await page.getByLabel('Checkpoint folder').inputValue()).toBe(join(folder, 'base'))

    await page.getByLabel('Method').selectOption('SOLAR')
    await page.getByText('12 → 18 layers').waitFor()
    expect(await page.getByLabel('Output folder').inputValue()).toBe(join(folder, 'base-solar-18'))
    await page.getByRole('button', { name: 'Choose where to write' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    await page.keyboard.press('Control+Enter')
    await page.getByText('The grown model is written').waitFor()

    const config = JSON.parse(
      readFileSync(join(folder, 'base-solar-18', 'config.json'), 'utf8'),
    ) as unknown
    expect(config).toMatchObject({ num_hidden_layers: 18 })

    // The same again: the folder is there now, and the reason is said.
    await page.getByRole('button', { name: 'Grow the model' }).click()
    await page.getByText('The output folder exists').waitFor()
    expect(complaints).toEqual([])
  })

  it('says what is wrong while it is typed, and does not run it', async () => {
    await openPage()
    await openDemoModel()
    const gaps = page.getByLabel('Gaps')
    await gaps.fill('5-99')
    await page.getByText('Give gaps within 0-10.').waitFor()
    expect(await gaps.getAttribute('aria-invalid')).toBe('true')
    expect(await page.getByRole('button', { name: 'Grow the model' }).isDisabled()).toBe(true)
    await gaps.fill('3,7,7')
    await page.getByText('12 → 15 layers').waitFor()
    expect(await page.getByRole('button', { name: 'Grow the model' }).isEnabled()).toBe(true)
  })

  it('says what is wrong with a folder that is no model', async () => {
    mkdirSync(join(folder, 'empty'))
    await openPage()
    await page.getByLabel('Checkpoint folder').fill(join(folder, 'empty'))
    await page.keyboard.press('Enter')
    const alert = page.getByRole('region', { name: 'Model' }).getByRole('alert')
    await alert.waitFor()
    expect(await alert.textContent()).toContain(join(folder, 'empty'))
  })

  it('shows a running job again after a reload, and cancels it without a trace', async () => {
    const out = join(folder, 'grown')
    await openPage()
    await openDemoModel()
    await startLongJob(out)
    expect(existsSync(`${out}.partial`)).toBe(true)

    await page.reload()
    await page.getByText('Running', { exact: true }).first().waitFor()
    await page.getByRole('rowheader', { name: /loss/ }).first().waitFor()
    await page.getByRole('button', { name: 'Cancel', exact: true }).click()
    await page.getByText('The job was cancelled').waitFor()
    expect(readdirSync(folder)).toEqual([])
    expect(complaints).toEqual([])
  })

  it('says that the program has gone, and finds it again', async () => {
    await openPage()
    const port = Number(new URL(url).port)
    await stopServer()
    await page.getByText('No connection to the program').waitFor()
    await startServer(port)
    // Another secret: the page has to be opened anew.
    await page.goto(url)
    await page.getByText(/^Devices: /).waitFor()
  })

  it('keeps the chosen theme', async () => {
    await openPage({ colorScheme: 'dark' })
    const background = (): Promise<string> =>
      page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const dark = await background()
    await page.getByLabel('Theme').selectOption('Light')
    const light = await background()
    expect(light).not.toBe(dark)
    await page.reload()
    await page.getByRole('heading', { name: 'LESA Workbench' }).waitFor()
    expect(await background()).toBe(light)
  })

  describe.each([
    { width: 1440, height: 900 },
    { width: 1024, height: 700 },
  ])('at $width × $height', (viewport) => {
    it.each(['light', 'dark'] as const)(
      'fits, and is accessible, in the %s theme',
      async (colorScheme) => {
        await openPage({ viewport, colorScheme, reducedMotion: 'reduce' })
        const check = async (name: string): Promise<void> => {
          const path = join(screenshots, `${viewport.width}-${colorScheme}-${name}.png`)
          await page.screenshot({ path })
          const overflow = await page.evaluate(
            () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
          )
          expect(overflow, `${name}: the page is wider than the window`).toBe(0)
          // Evaluated by the debugger, which the page's policy does not bind.
          const { violations } = await page.evaluate<AxeResults>(
            `${axe}; axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] })`,
          )
          const found = violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''}`)
          expect(found, name).toEqual([])
        }

        await page.getByText(/^Devices: /).waitFor()
        await check('empty')
        await openDemoModel()
        await page.getByText('Advanced').click()
        await check('model')
        await page.getByRole('button', { name: 'Choose where to write' }).click()
        await page.getByRole('dialog').getByRole('list').waitFor()
        await check('dialog')
        await page.keyboard.press('Escape')

        await startLongJob(join(folder, 'grown'))
        await check('running')
        await page.getByRole('button', { name: 'Cancel', exact: true }).click()
        await page.getByText('The job was cancelled').waitFor()

        await page.getByLabel('Steps', { exact: true }).fill('')
        await page.getByRole('button', { name: 'Grow the model' }).click()
        await page.getByText('The grown model is written').waitFor()
        await check('finished')
        expect(complaints).toEqual([])
      },
    )
  })
})
