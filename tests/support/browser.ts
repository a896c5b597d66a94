import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'

/** Where systems keep a browser that Playwright can drive; `LESA_CHROMIUM` names another. */
const WELL_KNOWN = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/microsoft-edge',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
]

/**
 * The browser for end-to-end tests; `null` when this machine has none. A path in `LESA_CHROMIUM` that does not exist is
 * an error rather than a reason to skip.
 */
export function findBrowser(): string | null {
  const named = process.env['LESA_CHROMIUM']
  if (named !== undefined && named !== '') {
    if (!existsSync(named)) throw new Error(`LESA_CHROMIUM: there is no ${named}.`)
    return named
  }
  return WELL_KNOWN.find((path) => existsSync(path)) ?? null
}

export function launchBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
