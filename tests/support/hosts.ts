/** @file What shows the workbench, so that the same steps can be taken in each: a browser, or Electron's window. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { _electron, type Browser, type Page } from 'playwright-core'
import { launchBrowser } from './browser'
import { PROJECT } from './built'
import { electronSwitches, findElectron } from './electron'
import {
  isolated,
  listen,
  openWindow,
  pickFolder,
  ServedWorkbench,
  type OpenWindow,
} from './servedWorkbench'

/** The program, running with a home folder of its own, as whoever sits before it has it. */
export interface Session {
  /** Where it makes projects. */
  readonly projects: string
  /** What the windows complained of: policy violations, failed requests, exceptions. */
  readonly complaints: string[]
  /** Shows the window: the only one, or one more where there can be several. */
  open(options?: Parameters<typeof openWindow>[2]): Promise<Page>
  /** Chooses a folder in the dialog that `ask` opens. */
  choose(page: Page, folder: string, ask: () => Promise<void>): Promise<void>
  end(): Promise<void>
}

export interface Host {
  start(home: string): Promise<Session>
  stop(): Promise<void>
}

/** The browser host, and one browser for all sessions. */
export async function browserHost(): Promise<Host> {
  const browser: Browser = await launchBrowser()
  return {
    async start(home) {
      const projects = prepareHome(home)
      const server = await ServedWorkbench.start(home)
      const opened: OpenWindow[] = []
      const complaints: string[] = []
      return {
        projects,
        complaints,
        async open(options = {}) {
          const window = await openWindow(browser, server.url, { ...options, complaints })
          opened.push(window)
          return window.page
        },
        async choose(page, folder, ask) {
          await ask()
          await pickFolder(page, folder)
        },
        async end() {
          for (const { context } of opened) await context.close()
          await server.stop()
        },
      }
    },
    stop: () => browser.close(),
  }
}

/** Electron with the built program. */
export function electronHost(): Host {
  return {
    async start(home) {
      const projects = prepareHome(home)
      const executablePath = findElectron()
      if (executablePath === null) throw new Error('There is no Electron on this machine.')
      const { ELECTRON_RUN_AS_NODE: _, ...env } = isolated(home)
      const app = await _electron.launch({
        executablePath,
        args: [...electronSwitches(), PROJECT],
        env: env as Record<string, string>,
      })
      const complaints: string[] = []
      const page = await app.firstWindow()
      listen(page, complaints)
      return {
        projects,
        complaints,
        async open() {
          await page.getByRole('button', { name: /Try the demo/ }).waitFor()
          return page
        },
        async choose(_page, folder, ask) {
          // The native dialog cannot be driven; it answers what a person would choose.
          await app.evaluate(({ dialog }, path) => {
            dialog.showOpenDialog = () => Promise.resolve({ canceled: false, filePaths: [path] })
          }, folder)
          await ask()
        },
        end: () => app.close(),
      }
    },
    stop: () => Promise.resolve(),
  }
}

/** Projects go into the home folder on every system, also where the system keeps documents elsewhere. */
function prepareHome(home: string): string {
  const projects = join(home, 'LESA Workbench')
  const user = isolated(home)['LESA_USER_DATA'] ?? home
  mkdirSync(user, { recursive: true })
  writeFileSync(
    join(user, 'settings.json'),
    JSON.stringify({ schema_version: 1, projectsFolder: projects }),
  )
  return projects
}
