import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { app, dialog } from 'electron'
import { toAppError } from '@shared/errors'

/** Quitting waits this long for clean-up. Cancelling a job, ending its process and removing its output take less. */
const QUIT_LIMIT_MS = 20_000

/** What Windows knows the program by, for its notifications and its place in the taskbar; also the installer's `appId`. */
const APP_ID = 'org.lesa.workbench'

/**
 * Says who the program is and where it keeps things. To be called before the app is ready.
 *
 * @param userFolder What belongs to the person; made if need be.
 */
export function identify(userFolder: string): void {
  app.setAppUserModelId(APP_ID)
  // Chromium's own folders, apart from ours: some systems hold its `Cache` and our `cache` for one.
  const chromium = join(userFolder, 'chromium')
  // Electron takes no folder that is not there.
  mkdirSync(chromium, { recursive: true })
  app.setPath('userData', userFolder)
  app.setPath('sessionData', chromium)
}

/**
 * Does what the program cannot be without. What prevents it is shown, and ends the program, which would otherwise go on
 * without a window and keep the next one from starting.
 */
export function orGiveUp(action: () => void | Promise<void>): void {
  new Promise((resolve) => resolve(action())).catch((thrown: unknown) => {
    const { message, hint } = toAppError(thrown)
    dialog.showErrorBox('LESA Workbench cannot start', [message, hint ?? ''].join('\n\n').trim())
    app.exit(1)
  })
}

/** Makes quitting wait for the clean-up, but neither for one that fails nor for one that does not end. */
export function quitAfter(cleanUp: () => Promise<void>, limitMs = QUIT_LIMIT_MS): void {
  let state: 'open' | 'cleaning' | 'ended' = 'open'
  const end = (): void => {
    state = 'ended'
    app.quit()
  }
  app.on('before-quit', (event) => {
    if (state === 'ended') return
    event.preventDefault()
    if (state === 'cleaning') return
    state = 'cleaning'
    const limit = setTimeout(end, limitMs)
    cleanUp()
      .catch((thrown: unknown) => console.error(thrown))
      .finally(() => {
        clearTimeout(limit)
        if (state === 'cleaning') end()
      })
  })
}
