import { chromium, type Browser } from 'playwright-core'
import { findChromium } from './requirements'

/**
 * Starts the browser that end-to-end tests drive, without a screen, a GPU or any traffic of its own.
 *
 * @throws Error when this machine has none; `has('chromium')` tells before.
 */
export function launchBrowser(): Promise<Browser> {
  const executablePath = findChromium()
  if (executablePath === null) throw new Error('There is no Chromium on this machine.')
  return chromium.launch({
    executablePath,
    args: [
      // Tests may run as root in a container; the page is ours.
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
