import { fork, type ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { PassThrough } from 'node:stream'
import type {
  BrowserWindow,
  BrowserWindowConstructorOptions,
  CustomScheme,
  Details,
  Dialog,
  ForkOptions,
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

/** Electron's app, as far as a program's beginning and end go. */
export class FakeApp extends EventEmitter {
  readonly paths = new Map<string, string>()
  userModelId: string | null = null
  exitCode: number | null = null

  /** As it was before anybody used it. */
  reset(): void {
    this.removeAllListeners()
    this.paths.clear()
    this.userModelId = null
    this.exitCode = null
  }

  setPath(name: string, path: string): void {
    if (!existsSync(path)) throw new Error('Failed to set path')
    this.paths.set(name, path)
  }

  setAppUserModelId(id: string): void {
    this.userModelId = id
  }

  /** Asks everybody first, each time that it is called. */
  quit(): void {
    let isPrevented = false
    this.emit('before-quit', { preventDefault: () => (isPrevented = true) })
    if (!isPrevented) this.exit(0)
  }

  /** Asks nobody. */
  exit(code: number): void {
    this.exitCode ??= code
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

/**
 * A real process behind Electron's rules for a utility process, as its documentation and its sources have them:
 *
 * - it is spawned later; until then it has no `pid`, and `kill` does nothing and returns `false`
 * - messages to it wait until then, and are lost after its exit
 * - a fatal error of V8 is emitted as `error`, which nobody may ignore, before the `exit`
 * - on `exit`, `stdout` and `stderr` lose every listener and are let go, though more may come out of them; here all of
 *   it comes then
 * - why it ended is told by the app, which names it by `name`; its `serviceName` is the same for all of them
 */
export class FakeUtilityProcess extends EventEmitter {
  static made: FakeUtilityProcess[] = []
  /** What the next ones do instead of being spawned in a moment. */
  static launch: 'soon' | 'when told' | 'fails' = 'soon'

  stdout: PassThrough | null = new PassThrough()
  stderr: PassThrough | null = new PassThrough()
  #child: ChildProcess | null = null
  readonly #held = { stdout: new PassThrough(), stderr: new PassThrough() }
  #waiting: unknown[] = []
  #hasExited = false
  #killed = false
  #why: Details['reason'] | null = null

  constructor(
    private readonly app: EventEmitter,
    private readonly modulePath: string,
    private readonly args: readonly string[],
    private readonly options: ForkOptions,
  ) {
    super()
    FakeUtilityProcess.made.push(this)
    if (FakeUtilityProcess.launch === 'soon') setImmediate(() => this.spawn())
    if (FakeUtilityProcess.launch === 'fails') setImmediate(() => this.#tell('launch-failed', 2))
  }

  get pid(): number | undefined {
    return this.#hasExited ? undefined : this.#child?.pid
  }

  spawn(): void {
    const { env, execArgv = [] } = this.options
    const child = fork(this.modulePath, [...this.args], {
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv,
      ...(env ? { env: env as NodeJS.ProcessEnv } : {}),
    })
    this.#child = child
    child.stdout?.pipe(this.#held.stdout)
    child.stderr?.pipe(this.#held.stderr)
    child.on('message', (message) => this.emit('message', message))
    child.once('exit', (code, signal) => this.#exit(code, signal))
    child.once('spawn', () => {
      for (const message of this.#waiting.splice(0)) this.postMessage(message)
      this.emit('spawn')
    })
  }

  postMessage(message: unknown): void {
    if (this.#hasExited) return
    if (this.#child === null) this.#waiting.push(message)
    else this.#child.send(message as object, () => undefined)
  }

  kill(): boolean {
    if (this.pid === undefined) return false
    this.#killed = true
    return this.#child?.kill('SIGTERM') ?? false
  }

  #exit(code: number | null, signal: NodeJS.Signals | null): void {
    this.#hasExited = true
    const { stdout, stderr } = this
    const ended = code ?? constants.signals[signal ?? 'SIGKILL']
    const reason = signal === null ? 'abnormal-exit' : isKill(signal) ? 'killed' : 'crashed'
    try {
      this.emit('exit', this.#killed && signal !== null && isKill(signal) ? 0 : ended)
    } finally {
      stdout?.removeAllListeners()
      stderr?.removeAllListeners()
      this.stdout = null
      this.stderr = null
    }
    const why = this.#why ?? reason
    setImmediate(() => {
      if (stdout) this.#held.stdout.pipe(stdout)
      if (stderr) this.#held.stderr.pipe(stderr)
      if (ended !== 0) this.#tell(why, ended)
    })
  }

  /** V8 gives up, as it does for want of heap. */
  failFatally(location: string): void {
    this.emit('error', 'FatalError', location, '{}')
    this.endBy('crashed')
  }

  /** It ends for a reason that the app tells. Every system knows this signal. */
  endBy(reason: Details['reason']): void {
    this.#why = reason
    this.#child?.kill('SIGKILL')
  }

  /** Says why a process has gone, as the app does. */
  #tell(reason: Details['reason'], exitCode: number): void {
    const { serviceName: name } = this.options
    tellGone(this.app, { reason, exitCode, ...(name === undefined ? {} : { name }) })
  }
}

export function tellGone(
  app: EventEmitter,
  details: Pick<Details, 'reason' | 'exitCode' | 'name'>,
): void {
  const told: Details = { type: 'Utility', serviceName: 'node.mojom.NodeService', ...details }
  app.emit('child-process-gone', {}, told)
}

function isKill(signal: NodeJS.Signals): boolean {
  return signal === 'SIGKILL' || signal === 'SIGTERM'
}

/** A fresh fake for one test file: `vi.mock('electron', () => fakeElectron())`. */
export function fakeElectron() {
  const schemes: CustomScheme[] = []
  const app = new FakeApp()
  return {
    app,
    dialog: { showErrorBox: vi.fn<Dialog['showErrorBox']>() },
    utilityProcess: {
      fork: (path: string, args: string[] = [], options: ForkOptions = {}) =>
        new FakeUtilityProcess(app, path, args, options),
    },
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
