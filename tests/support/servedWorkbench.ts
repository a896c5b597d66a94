import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core'
import { built } from './built'

/** The built program behind its browser host, with a home folder of its own. */
export class ServedWorkbench {
  readonly url: string
  readonly #process: ChildProcess

  private constructor(process: ChildProcess, url: string) {
    this.#process = process
    this.url = url
  }

  /** Resolves when it has printed its address. */
  static async start(home: string, port = 0): Promise<ServedWorkbench> {
    mkdirSync(home, { recursive: true })
    const args = [built('main/cli.js'), 'serve', '--port', String(port)]
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: isolated(home),
    })
    if (!child.stdout) throw new Error('The server has no output.')
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    return new ServedWorkbench(child, line)
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill()
    await ended
  }
}

/** An environment in which the program finds and leaves nothing of the person's own. */
export function isolated(home: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    HOME: home,
    USERPROFILE: home,
    LESA_USER_DATA: join(home, 'user-data'),
  }
}

type PageOptions = Parameters<Browser['newContext']>[0]

/** A window of the program, and what it complained of: policy violations, failed requests, exceptions. */
export interface OpenWindow {
  readonly context: BrowserContext
  readonly page: Page
  readonly complaints: string[]
}

/** Opens the program's page at a place within it, in a context of its own. */
export async function openWindow(
  browser: Browser,
  url: string,
  {
    at = '/',
    complaints = [],
    ...options
  }: PageOptions & { readonly at?: string; readonly complaints?: string[] } = {},
): Promise<OpenWindow> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    reducedMotion: 'reduce',
    ...options,
  })
  const page = await context.newPage()
  listen(page, complaints)
  await page.goto(url)
  await page.getByRole('button', { name: /Try the demo/ }).waitFor()
  if (at !== '/') await go(page, at)
  return { context, page, complaints }
}

/** For what a slow or busy machine takes, such as a whole run of the demo. */
const PATIENCE_MS = 120_000

export function listen(page: Page, complaints: string[]): void {
  page.setDefaultTimeout(PATIENCE_MS)
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
}

/** Goes to a place of the window, such as `/project/…/run`. */
export async function go(page: Page, place: string): Promise<void> {
  await page.evaluate((hash) => {
    window.location.hash = hash
  }, place)
}

export type ViewName =
  | 'Model'
  | 'Plan'
  | 'Parameters'
  | 'Run'
  | 'Layers'
  | 'Train'
  | 'Compare'
  | 'Export'
  | 'Start'
  | 'Settings'

/** Opens a view from the rail. */
export async function openView(page: Page, view: ViewName): Promise<void> {
  const rail = page.getByRole('navigation').first()
  await rail.getByRole('link', { name: new RegExp(`^${view}`) }).click()
}

/** Makes the demo project; answers its place in the window. */
export async function openDemo(page: Page): Promise<string> {
  await page.getByRole('button', { name: /Try the demo/ }).click()
  await page.waitForURL(/#\/project\/[0-9a-f]{16}/)
  const id = /project\/([0-9a-f]{16})/.exec(page.url())?.[1]
  return `/project/${id}`
}

/** Chooses a method in the Plan view. */
export async function chooseMethod(page: Page, name: string): Promise<void> {
  await openView(page, 'Plan')
  await page
    .locator('label')
    .filter({ has: page.getByText(name, { exact: true }) })
    .first()
    .click()
}

/** Makes training take minutes, so that a test can do something meanwhile. */
export async function makeTrainingLong(page: Page): Promise<void> {
  await openView(page, 'Parameters')
  await page
    .locator('label')
    .filter({ has: page.getByText('Matched', { exact: true }) })
    .first()
    .click()
}

/** Makes training take a moment, where it does not matter what comes of it. */
export async function makeTrainingShort(page: Page): Promise<void> {
  await openView(page, 'Parameters')
  await page.getByLabel('Length', { exact: true }).fill('20')
}

/** Starts what is planned; answers the Run view's article about it. */
export async function startRun(page: Page): Promise<Locator> {
  await openView(page, 'Run')
  const fresh = page.getByRole('button', { name: 'New run' })
  await fresh.click()
  await page.getByRole('button', { name: /^(Run|Add to queue)$/ }).click()
  const article = page.getByRole('article')
  await article.waitFor()
  return article
}

/** Answers the folder picker that is open: goes to a folder by its path and chooses it. */
export async function pickFolder(page: Page, folder: string): Promise<void> {
  // What is chosen may open a dialog of its own.
  const choose = page.getByRole('button', { name: 'Choose this folder' })
  const dialog = page.getByRole('dialog').filter({ has: choose })
  // Where it begins is shown by itself; what is typed before would be replaced.
  await dialog.getByRole('list').waitFor()
  await dialog.getByRole('textbox').fill(folder)
  await dialog.getByRole('textbox').press('Enter')
  // It is there when there is nowhere else to go.
  await dialog.locator('button:disabled').filter({ hasText: 'Go' }).waitFor()
  await dialog.getByRole('button', { name: 'Choose this folder' }).click()
  await dialog.waitFor({ state: 'hidden' })
}
