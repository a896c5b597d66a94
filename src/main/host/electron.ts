import { ipcMain, type BrowserWindow, type IpcMainEvent, type IpcMainInvokeEvent } from 'electron'
import type { Envelope, PushName, Pushes } from '@shared/contract'
import { CALL_CHANNEL, DROP_CHANNEL, PUSH_CHANNEL } from '@shared/channels'
import { AppError } from '@shared/errors'
import type { PushHub } from '../ipc/pushes'
import type { Router } from '../ipc/router'

export interface ElectronHostOptions {
  readonly router: Router
  readonly pushes: PushHub
  /** The one window; `null` while there is none. */
  readonly window: () => BrowserWindow | null
  /** Where the window's page comes from: `app://lesa`, or the development server. */
  readonly origin: string
  /** A file or folder was dropped on the window. */
  readonly onDropped?: (path: string) => unknown
}

/** Carries the contract over Electron's IPC. Returns what takes it down again. */
export function serveElectron(options: ElectronHostOptions): () => void {
  const { router, pushes, window, origin, onDropped } = options
  ipcMain.handle(
    CALL_CHANNEL,
    (event, name: unknown, args: unknown): Promise<Envelope<unknown>> | Envelope<unknown> => {
      if (isOurs(event, window(), origin)) return router.dispatch(name, args)
      const error = new AppError('path_denied', 'Only the main window may call the program.')
      return { ok: false, error: { code: error.code, message: error.message } }
    },
  )
  const onDrop = (event: IpcMainEvent, path: unknown): void => {
    if (isOurs(event, window(), origin) && typeof path === 'string') onDropped?.(path)
  }
  ipcMain.on(DROP_CHANNEL, onDrop)
  const unsubscribe = pushes.subscribe(<P extends PushName>(name: P, payload: Pushes[P]) => {
    const contents = window()?.webContents
    if (contents && !contents.isDestroyed() && contents.getURL().startsWith(`${origin}/`)) {
      contents.send(PUSH_CHANNEL, name, payload)
    }
  })
  return () => {
    unsubscribe()
    ipcMain.removeHandler(CALL_CHANNEL)
    ipcMain.off(DROP_CHANNEL, onDrop)
  }
}

/** True for our window's main frame, while it shows our page. */
function isOurs(
  event: IpcMainInvokeEvent | IpcMainEvent,
  window: BrowserWindow | null,
  origin: string,
): boolean {
  const { sender, senderFrame } = event
  // A frame that has navigated or gone since it called has no right to an answer.
  if (!window || senderFrame === null || sender !== window.webContents) return false
  return senderFrame === sender.mainFrame && senderFrame.origin === origin
}
