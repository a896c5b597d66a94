import { EventEmitter } from 'node:events'
import type {
  App,
  BrowserWindow,
  BrowserWindowConstructorOptions,
  CustomScheme,
  IpcMain,
  Protocol,
  Session,
  Shell,
  WebContents,
  WindowOpenHandlerResponse,
} from 'electron'
import { vi } from 'vitest'

/**
 * The parts of Electron that the program uses, typed as Electron types them, recording what they are told. Electron's
 * own binary is not needed to see that the settings are right.
 */

type Handler<T, M extends keyof T> = T[M] extends (handler: infer H) => unknown
  ? NonNullable<H>
  : never

export class FakeWebContents extends EventEmitter {
  readonly mainFrame: { origin: string }
  readonly sent: unknown[][] = []
  openHandler: ((details: { url: string }) => WindowOpenHandlerResponse) | null = null

  constructor(origin: string) {
    super()
    this.mainFrame = { origin }
  }

  setWindowOpenHandler(handler: (details: { url: string }) => WindowOpenHandlerResponse): void {
    this.openHandler = handler
  }

  getURL(): string {
    return `${this.mainFrame.origin}/`
  }

  isDestroyed(): boolean {
    return false
  }

  send(...args: unknown[]): void {
    this.sent.push(args)
  }

  asReal(): WebContents {
    return this as unknown as WebContents
  }
}

export class FakeSession extends EventEmitter {
  permissionRequest: Handler<Session, 'setPermissionRequestHandler'> | null = null
  permissionCheck: Handler<Session, 'setPermissionCheckHandler'> | null = null
  devicePermission: Handler<Session, 'setDevicePermissionHandler'> | null = null
  beforeRequest:
    ((details: { url: string }, respond: (r: { cancel?: boolean }) => void) => void) | null = null
  protocolHandler: Parameters<Protocol['handle']>[1] | null = null
  handledScheme: string | null = null

  readonly webRequest = {
    onBeforeRequest: (listener: NonNullable<FakeSession['beforeRequest']>): void => {
      this.beforeRequest = listener
    },
  }

  readonly protocol = {
    handle: (scheme: string, handler: Parameters<Protocol['handle']>[1]): void => {
      this.handledScheme = scheme
      this.protocolHandler = handler
    },
  }

  setPermissionRequestHandler(handler: Handler<Session, 'setPermissionRequestHandler'>): void {
    this.permissionRequest = handler
  }

  setPermissionCheckHandler(handler: Handler<Session, 'setPermissionCheckHandler'>): void {
    this.permissionCheck = handler
  }

  setDevicePermissionHandler(handler: Handler<Session, 'setDevicePermissionHandler'>): void {
    this.devicePermission = handler
  }

  asReal(): Session {
    return this as unknown as Session
  }
}

export class FakeBrowserWindow extends EventEmitter {
  static opened: FakeBrowserWindow[] = []
  readonly webContents: FakeWebContents
  loaded: string | null = null
  isMaximizedNow = false
  isShown = false

  constructor(
    readonly options: BrowserWindowConstructorOptions = {},
    origin = 'app://lesa',
  ) {
    super()
    this.webContents = new FakeWebContents(origin)
    FakeBrowserWindow.opened.push(this)
  }

  loadURL(url: string): Promise<void> {
    this.loaded = url
    return Promise.resolve()
  }

  maximize(): void {
    this.isMaximizedNow = true
  }

  isMaximized(): boolean {
    return this.isMaximizedNow
  }

  show(): void {
    this.isShown = true
  }

  getNormalBounds(): { x: number; y: number; width: number; height: number } {
    return { x: 10, y: 20, width: 1000, height: 700 }
  }

  asReal(): BrowserWindow {
    return this as unknown as BrowserWindow
  }
}

type Invoke = Parameters<IpcMain['handle']>[1]

class FakeIpcMain extends EventEmitter {
  readonly handlers = new Map<string, Invoke>()

  handle(channel: string, handler: Invoke): void {
    this.handlers.set(channel, handler)
  }

  removeHandler(channel: string): void {
    this.handlers.delete(channel)
  }
}

/** A fresh fake for one test file: `vi.mock('electron', () => fakeElectron())`. */
export function fakeElectron() {
  const schemes: CustomScheme[] = []
  return {
    app: new EventEmitter() as EventEmitter & Partial<App>,
    BrowserWindow: FakeBrowserWindow,
    ipcMain: new FakeIpcMain(),
    nativeTheme: { shouldUseDarkColors: false },
    protocol: {
      registered: schemes,
      registerSchemesAsPrivileged: (custom: CustomScheme[]) => schemes.push(...custom),
    },
    screen: {
      getPrimaryDisplay: () => ({ id: 1, workArea: { x: 0, y: 0, width: 1920, height: 1040 } }),
      getAllDisplays: () => [{ id: 1, workArea: { x: 0, y: 0, width: 1920, height: 1040 } }],
    },
    shell: { openExternal: vi.fn<Shell['openExternal']>(() => Promise.resolve()) },
  }
}

export type FakeElectron = ReturnType<typeof fakeElectron>
