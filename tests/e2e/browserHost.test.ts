import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { launchBrowser } from '../support/browser'
import { has } from '../support/requirements'
import { go, openWindow, ServedWorkbench } from '../support/servedWorkbench'

/** What carries the program to a browser: who is let in, and what happens when the line breaks. */
describe.skipIf(!has('chromium'))('lesa serve, in a browser', () => {
  let folder: string
  let server: ServedWorkbench
  let browser: Browser
  let context: BrowserContext
  let page: Page

  async function openPage(options: Parameters<typeof openWindow>[2] = {}): Promise<void> {
    ;({ context, page } = await openWindow(browser, server.url, options))
  }

  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa-e2e-')))
    browser = await launchBrowser()
    server = await ServedWorkbench.start(join(folder, 'home'))
  })

  afterAll(async () => {
    await browser.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  afterEach(() => context.close())

  it('lets nobody in without the secret', async () => {
    context = await browser.newContext()
    page = await context.newPage()
    const response = await page.goto(new URL('/', server.url).href)
    expect(response?.status()).toBe(401)
    expect(await page.textContent('body')).toContain('Open the address that the program printed')
  })

  it('shows the secret neither in the address nor in the history, and to no script', async () => {
    await openPage()
    expect(page.url().split('#')[0]).toBe(new URL('/', server.url).href)
    expect(page.url()).not.toContain('token')
    expect(await page.evaluate(() => document.cookie)).toBe('')
    await page.goBack()
    expect(page.url()).toBe('about:blank')
  })

  it('cannot be called by another site that is open in the same browser', async () => {
    await openPage()
    const cookies = await context.cookies()
    expect(cookies).toMatchObject([{ httpOnly: true, sameSite: 'Strict' }])
    const stranger = await context.newPage()
    const { port } = new URL(server.url)
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

  it('says that the program has gone, and finds it again', async () => {
    await openPage()
    const port = Number(new URL(server.url).port)
    await server.stop()
    // The status bar; a view that was asking for something meanwhile may say so as well.
    await page
      .getByRole('alert')
      .filter({ hasText: 'No connection to the program; trying again' })
      .waitFor()
    server = await ServedWorkbench.start(join(folder, 'home'), port)
    // Another secret: the page has to be opened anew.
    await page.goto(server.url)
    await page.getByText('Version', { exact: false }).first().waitFor()
    expect(await page.getByText(/No connection to the program/).count()).toBe(0)
  })

  it('keeps the chosen theme', async () => {
    await openPage({ colorScheme: 'dark' })
    const background = (): Promise<string> =>
      page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const dark = await background()
    await go(page, '/settings')
    await page.getByText('Light', { exact: true }).click()
    await page.waitForFunction(
      (before) => getComputedStyle(document.body).backgroundColor !== before,
      dark,
    )
    const light = await background()
    await page.reload()
    await page.getByRole('heading', { name: 'LESA Workbench' }).first().waitFor()
    expect(await background()).toBe(light)
  })
})
