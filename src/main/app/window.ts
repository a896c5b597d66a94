import { BrowserWindow, nativeTheme, screen, type BrowserWindowConstructorOptions } from 'electron'
import { MIN_SIZE, readWindowState, writeWindowState, type Bounds } from './windowState'

/** The page's own background, so that the window does not flash while it loads. */
const BACKGROUND = { light: '#f6f7f9', dark: '#14171c' } as const

/** The window's settings. Security does not depend on Electron's defaults: each one is named. */
export function windowOptions(
  preload: string,
  bounds: Bounds,
  isDark: boolean,
): BrowserWindowConstructorOptions {
  return {
    ...bounds,
    minWidth: MIN_SIZE.width,
    minHeight: MIN_SIZE.height,
    show: false,
    backgroundColor: isDark ? BACKGROUND.dark : BACKGROUND.light,
    title: 'LESA Workbench',
    webPreferences: {
      preload,
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      experimentalFeatures: false,
      webviewTag: false,
      navigateOnDragDrop: false,
      safeDialogs: true,
      // The spell checker would fetch its dictionaries from the network.
      spellcheck: false,
    },
  }
}

export interface OpenWindowOptions {
  readonly preload: string
  /** The page: `app://lesa/`, or the development server's. */
  readonly url: string
  /** Where the window's place is kept. */
  readonly stateFile: string
}

/** Opens the window where it was last, and remembers where it is when it closes. */
export function openWindow({ preload, url, stateFile }: OpenWindowOptions): BrowserWindow {
  const main = screen.getPrimaryDisplay()
  const others = screen.getAllDisplays().filter(({ id }) => id !== main.id)
  const { maximized, ...bounds } = readWindowState(
    stateFile,
    [main, ...others].map(({ workArea }) => workArea),
  )
  const window = new BrowserWindow(windowOptions(preload, bounds, nativeTheme.shouldUseDarkColors))
  if (maximized) window.maximize()
  window.once('ready-to-show', () => window.show())
  window.on('close', () =>
    writeWindowState(stateFile, { ...window.getNormalBounds(), maximized: window.isMaximized() }),
  )
  // One that stays empty can at least be closed.
  window.loadURL(url).catch(() => window.show())
  return window
}
