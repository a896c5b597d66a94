/** @file The desktop program: what is made here is joined here, and nothing else happens here. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { app, Menu, Notification, session, type BrowserWindow } from 'electron'
import { signalJobs } from './app/jobSignals'
import { identify, orGiveUp, quitAfter } from './app/lifecycle'
import { menuTemplate } from './app/menu'
import { nativeServices } from './app/nativeServices'
import { APP_ORIGIN, handleAppScheme, registerAppScheme } from './app/protocol'
import { harden } from './app/security'
import { openWindow } from './app/window'
import { serveElectron } from './host/electron'
import { createWorkbench } from './ipc/workbench'
import { ElectronEngineProcess } from './jobs/ElectronEngineProcess'
import { EngineClient } from './jobs/EngineClient'
import { defaultProjectsFolder, userFolder } from './storage/userFolder'

const here = import.meta.dirname
const developmentUrl = app.isPackaged ? undefined : process.env['ELECTRON_RENDERER_URL']
const origin = developmentUrl === undefined ? APP_ORIGIN : new URL(developmentUrl).origin
let window: BrowserWindow | null = null

orGiveUp(() => {
  // The command line's `serve` keeps its settings in the same folder.
  identify(userFolder({ ...process, home: homedir() }))
  app.enableSandbox()
  registerAppScheme()
  if (!app.requestSingleInstanceLock()) return app.quit()
  app.on('second-instance', focusWindow)
  app.on('window-all-closed', () => app.quit())
  return app.whenReady().then(start)
})

function start(): void {
  harden(origin, session.defaultSession)
  handleAppScheme(session.defaultSession, join(here, '../renderer'))

  const startEngine = (): EngineClient =>
    new EngineClient(() => new ElectronEngineProcess(join(here, 'engine.js')))
  const workbench = createWorkbench({
    engine: startEngine(),
    queries: startEngine(),
    host: 'electron',
    version: app.getVersion(),
    resources: app.isPackaged ? process.resourcesPath : join(here, '../../resources'),
    userFolder: app.getPath('userData'),
    projectsFolder: defaultProjectsFolder(process.env, app.getPath('documents')),
    ...nativeServices(() => window),
    includeStacks: !app.isPackaged,
    onBug: (error) => console.error(error),
  })
  serveElectron({
    ...workbench,
    window: () => window,
    origin,
    onDropped: (path) => workbench.grants.grant(path),
  })
  const menu = menuTemplate((command) => workbench.pushes.emit('app:command', command), {
    isMac: process.platform === 'darwin',
    isDevelopment: !app.isPackaged,
  })
  Menu.setApplicationMenu(Menu.buildFromTemplate(menu))
  // Jobs remove their unfinished output first.
  quitAfter(() => workbench.dispose())
  signalJobs(workbench.jobs, {
    setProgress: (progress) => window?.setProgressBar(progress),
    isFocused: () => window?.isFocused() ?? false,
    notify: (title, body) => {
      if (!Notification.isSupported()) return
      const notification = new Notification({ title, body })
      notification.on('click', focusWindow)
      notification.show()
    },
  })

  window = openWindow({
    preload: join(here, '../preload/index.cjs'),
    url: `${origin}/`,
    stateFile: join(app.getPath('userData'), 'window.json'),
  })
  window.on('closed', () => (window = null))
}

function focusWindow(): void {
  if (window?.isMinimized()) window.restore()
  window?.focus()
}
