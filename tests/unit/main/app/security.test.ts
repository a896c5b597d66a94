/** @file Electron's security checklist, all twenty points in its order, each pinned by what the program does. */
import { readFileSync, readdirSync, mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PermissionRequest } from 'electron'
import { CALL_CHANNEL, DROP_CHANNEL, PUSH_CHANNEL } from '@shared/channels'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { openExternal, harden, isOpenable } from '../../../../src/main/app/security'
import { APP_ORIGIN, handleAppScheme, registerAppScheme } from '../../../../src/main/app/protocol'
import { openWindow, windowOptions } from '../../../../src/main/app/window'
import { contentSecurityPolicy } from '../../../../src/main/host/headers'
import { serveElectron } from '../../../../src/main/host/electron'
import { PushHub } from '../../../../src/main/ipc/pushes'
import { createRouter } from '../../../../src/main/ipc/router'
import {
  FakeBrowserWindow,
  FakeSession,
  FakeWebContents,
  type FakeElectron,
} from '../../../support/fakeElectron'
import { recordingHandlers, snapshot, told } from '../../../support/handlers'

vi.mock('electron', async () => {
  const { fakeElectron } = await import('../../../support/fakeElectron')
  return fakeElectron()
})

const electron = (await import('electron')) as unknown as FakeElectron

const root = join(import.meta.dirname, '../../../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const sources = ['src/main', 'src/preload', 'src/renderer']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) =>
      join(folder, path),
    ),
  )
  .filter((path) => /\.(ts|vue|html|css)$/.test(path))

let session: FakeSession
let contents: FakeWebContents
const preferences = windowOptions('/preload.cjs', { width: 1, height: 1 }, false).webPreferences

beforeEach(() => {
  electron.app.removeAllListeners()
  electron.shell.openExternal.mockClear()
  session = new FakeSession()
  harden(APP_ORIGIN, session.asReal())
  contents = new FakeWebContents(APP_ORIGIN)
  electron.app.emit('web-contents-created', {}, contents.asReal())
})

function isLoaded(url: string): boolean {
  let cancelled: boolean | undefined
  session.beforeRequest?.({ url }, ({ cancel }) => (cancelled = cancel))
  return cancelled === false
}

/** Emits a navigation event and tells whether it was stopped. */
function isStopped(event: string, url: string): boolean {
  const preventDefault = vi.fn()
  contents.emit(event, { url, preventDefault })
  return preventDefault.mock.calls.length > 0
}

describe('1. only secure content is loaded', () => {
  it.each([`${APP_ORIGIN}/`, `${APP_ORIGIN}/assets/a.js`, 'data:image/png;base64,AAAA'])(
    'loads %s',
    (url) => {
      expect(isLoaded(url)).toBe(true)
    },
  )

  it.each([
    'https://huggingface.co/',
    'http://localhost:5173/',
    'ws://127.0.0.1/',
    'file:///etc/passwd',
    'app://other/',
    'app://lesa.evil/',
    'blob:https://evil.example/1',
    'chrome://gpu',
    'not a url',
  ])('does not load %s', (url) => {
    expect(isLoaded(url)).toBe(false)
  })

  it('opens the window on our own page', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lesa-window-'))
    const stateFile = join(folder, 'window.json')
    const window = openWindow({ preload: '/p.cjs', url: `${APP_ORIGIN}/`, stateFile })
    expect((window as unknown as FakeBrowserWindow).loaded).toBe('app://lesa/')
    rmSync(folder, { recursive: true })
  })
})

it('2. no Node.js in the window', () => {
  expect(preferences).toMatchObject({
    nodeIntegration: false,
    nodeIntegrationInWorker: false,
    nodeIntegrationInSubFrames: false,
  })
})

it('3. context isolation is on', () => {
  expect(preferences).toMatchObject({ contextIsolation: true })
})

it('4. the window is sandboxed, and so is everything else', () => {
  expect(preferences).toMatchObject({ sandbox: true, preload: '/preload.cjs' })
  expect(read('src/main/index.ts')).toContain('app.enableSandbox()')
})

describe('5. permissions', () => {
  const isGranted = (permission: string, page: string, isMainFrame = true): boolean => {
    const answer = vi.fn<(granted: boolean) => void>()
    const request: PermissionRequest = { isMainFrame, requestingUrl: page }
    session.permissionRequest?.(contents.asReal(), permission as never, answer, request)
    const check = { isMainFrame, securityOrigin: page } as never
    const isHeld = session.permissionCheck?.(contents.asReal(), permission as never, page, check)
    expect(answer).toHaveBeenCalledExactlyOnceWith(isHeld)
    return isHeld === true
  }

  it.each(['media', 'geolocation', 'notifications', 'clipboard-read', 'openExternal'])(
    'never grant %s',
    (permission) => {
      expect(isGranted(permission, `${APP_ORIGIN}/`)).toBe(false)
    },
  )

  it('let our own page put text on the clipboard, and nobody else', () => {
    const write = 'clipboard-sanitized-write'
    expect(isGranted(write, `${APP_ORIGIN}/`)).toBe(true)
    expect(isGranted(write, `${APP_ORIGIN}/#/project/1`)).toBe(true)
    expect(isGranted(write, `${APP_ORIGIN}/`, false)).toBe(false)
    for (const page of [
      'app://lesa.evil/',
      'app://other/',
      'https://lesa/',
      'file:///x',
      'data:,x',
      '',
    ]) {
      expect(isGranted(write, page), page).toBe(false)
    }
  })

  it('never grant a device', () => {
    expect(session.devicePermission?.({} as never)).toBe(false)
  })
})

it('6. web security is on', () => {
  expect(preferences).toMatchObject({ webSecurity: true })
})

describe('7. the content security policy', () => {
  it('allows our own files only, and nothing inline', () => {
    const rules = new Map(
      contentSecurityPolicy()
        .split('; ')
        .map((rule) => [rule.split(' ')[0], rule.split(' ').slice(1).join(' ')]),
    )
    expect(rules.get('default-src')).toBe("'none'")
    expect(rules.get('script-src')).toBe("'self'")
    expect(rules.get('style-src')).toBe("'self'")
    expect(rules.get('img-src')).toBe("'self' data:")
    expect(rules.get('connect-src')).toBe("'self'")
    expect([...rules.values()].join(' ')).not.toMatch(/unsafe|\*|https?:/)
  })

  it('fits the page: no inline script, style or handler', () => {
    const html = read('src/renderer/index.html')
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/)
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|https?:\/\//)
    for (const path of sources.filter((file) => file.endsWith('.vue'))) {
      expect(read(path), path).not.toMatch(/\sstyle="|v-html/)
    }
  })
})

it('8. insecure content is not allowed', () => {
  expect(preferences).toMatchObject({ allowRunningInsecureContent: false })
})

it('9. and 10. no experimental features, no Blink features', () => {
  expect(preferences).toMatchObject({ experimentalFeatures: false })
  expect(preferences).not.toHaveProperty('enableBlinkFeatures')
  for (const path of sources) expect(read(path), path).not.toMatch(/appendSwitch|BlinkFeatures:/)
})

it('11. and 12. there is no <webview>', () => {
  expect(preferences).toMatchObject({ webviewTag: false })
  const preventDefault = vi.fn()
  contents.emit('will-attach-webview', { preventDefault }, {}, {})
  expect(preventDefault).toHaveBeenCalled()
  for (const path of sources.filter((file) => /\.(vue|html)$/.test(file))) {
    expect(read(path), path).not.toMatch(/<webview|allowpopups/i)
  }
})

describe('13. navigation', () => {
  it.each(['will-navigate', 'will-frame-navigate', 'will-redirect'])('by %s is denied', (event) => {
    for (const url of [
      'https://huggingface.co/',
      'file:///etc/passwd',
      'app://other/',
      'app://lesa/assets/a.js',
      'javascript:alert(1)',
      'data:text/html,x',
      '',
    ]) {
      expect(isStopped(event, url), url).toBe(true)
    }
    expect(isStopped(event, `${APP_ORIGIN}/`)).toBe(false)
  })

  it('does not follow a dropped file', () => {
    expect(preferences).toMatchObject({ navigateOnDragDrop: false })
  })

  it('does not become a download, unless the window made the file itself', () => {
    const isSaved = (url: string): boolean => {
      const preventDefault = vi.fn()
      session.emit('will-download', { preventDefault }, { getURL: () => url })
      return preventDefault.mock.calls.length === 0
    }
    for (const url of [
      'https://huggingface.co/a.bin',
      'blob:https://evil.example/1',
      `blob:${APP_ORIGIN}.evil/1`,
      `${APP_ORIGIN}/index.html`,
    ]) {
      expect(isSaved(url), url).toBe(false)
    }
    expect(isSaved(`blob:${APP_ORIGIN}/5f0c`)).toBe(true)
  })
})

it('14. no new window is opened', () => {
  for (const url of ['https://huggingface.co/', 'app://lesa/', 'about:blank']) {
    expect(contents.openHandler?.({ url })).toEqual({ action: 'deny' })
  }
})

describe('15. links', () => {
  it('to sites that the program links to open in the browser', () => {
    contents.openHandler?.({ url: 'https://arxiv.org/abs/2502.13794' })
    expect(electron.shell.openExternal).toHaveBeenCalledExactlyOnceWith(
      'https://arxiv.org/abs/2502.13794',
    )
  })

  it.each([
    'http://arxiv.org/',
    'https://arxiv.org.evil.example/',
    'https://arxiv.org@evil.example/',
    'https://user:secret@arxiv.org/',
    'https://arxiv.org:8443/',
    'file:///bin/sh',
    'ms-settings:',
    'javascript:alert(1)',
    'smb://arxiv.org/x',
    '',
  ])('such as %j open nowhere', (url) => {
    expect(isOpenable(url)).toBe(false)
    openExternal(url)
    contents.openHandler?.({ url })
    expect(electron.shell.openExternal).not.toHaveBeenCalled()
  })
})

it('16. Electron is a current one', () => {
  const { devDependencies } = JSON.parse(read('package.json')) as {
    devDependencies: Record<string, string>
  }
  expect(Number(/\d+/.exec(devDependencies['electron'] ?? '')?.[0])).toBeGreaterThanOrEqual(45)
})

describe('17. the sender of a call', () => {
  const window = new FakeBrowserWindow()
  const { handlers, calls } = recordingHandlers()
  const pushes = new PushHub()
  const dropped: string[] = []
  let take: () => void

  beforeAll(() => {
    take = serveElectron({
      router: createRouter(handlers),
      pushes,
      window: () => window.asReal(),
      origin: APP_ORIGIN,
      onDropped: (path) => dropped.push(path),
    })
  })

  const invoke = (sender: unknown, senderFrame: unknown): Promise<unknown> =>
    Promise.resolve(
      electron.ipcMain.handlers.get(CALL_CHANNEL)?.(
        { sender, senderFrame } as never,
        'jobs:list',
        [],
      ) as unknown,
    )

  it('is our window’s main frame on our page', async () => {
    const { webContents } = window
    expect(await invoke(webContents, webContents.mainFrame)).toEqual({ ok: true, value: [] })
    expect(calls).toHaveLength(1)
  })

  it('is nobody else', async () => {
    calls.length = 0
    const { webContents } = window
    const stranger = new FakeWebContents(APP_ORIGIN)
    const moved = new FakeBrowserWindow({}, 'https://evil.example').webContents
    for (const [sender, frame] of [
      [stranger, stranger.mainFrame],
      [webContents, { origin: APP_ORIGIN }],
      [webContents, null],
      [moved, moved.mainFrame],
    ]) {
      expect(await invoke(sender, frame)).toMatchObject({
        ok: false,
        error: { code: 'path_denied' },
      })
    }
    webContents.mainFrame.origin = 'https://evil.example'
    expect(await invoke(webContents, webContents.mainFrame)).toMatchObject({ ok: false })
    webContents.mainFrame.origin = APP_ORIGIN
    expect(calls).toEqual([])
  })

  it('is checked for what was dropped, too', () => {
    const { webContents } = window
    const stranger = new FakeWebContents(APP_ORIGIN)
    const drop = (sender: FakeWebContents, path: unknown): unknown =>
      electron.ipcMain.emit(DROP_CHANNEL, { sender, senderFrame: sender.mainFrame }, path)
    drop(stranger, '/stolen')
    drop(webContents, { path: '/forged' })
    drop(webContents, '/dropped')
    expect(dropped).toEqual(['/dropped'])
  })

  it('gets pushes only while it shows our page', () => {
    const { webContents } = window
    pushes.emit('jobs:changed', told(snapshot))
    webContents.mainFrame.origin = 'app://lesa.evil'
    pushes.emit('jobs:changed', told(snapshot))
    webContents.mainFrame.origin = APP_ORIGIN
    expect(webContents.sent).toEqual([[PUSH_CHANNEL, 'jobs:changed', told(snapshot)]])
  })

  it('is not heard after the host is taken down', () => {
    take()
    expect(electron.ipcMain.handlers.size).toBe(0)
    expect(electron.ipcMain.listenerCount(DROP_CHANNEL)).toBe(0)
    pushes.emit('jobs:changed', told(snapshot))
    expect(window.webContents.sent).toHaveLength(1)
  })
})

describe('18. the page comes from app://', () => {
  let bundle: string

  beforeAll(() => {
    bundle = mkdtempSync(join(tmpdir(), 'lesa-app-'))
    mkdirSync(join(bundle, 'inner'))
    writeFileSync(join(bundle, 'inner', 'index.html'), 'the page')
    writeFileSync(join(bundle, 'secret.js'), 'secret')
  })

  afterAll(() => {
    rmSync(bundle, { recursive: true, force: true })
  })

  const fetchPage = async (url: string, method = 'GET'): Promise<Response> => {
    handleAppScheme(session.asReal(), join(bundle, 'inner'))
    const response = await session.protocolHandler?.(new Request(url, { method }))
    if (!response) throw new Error('No handler.')
    return response
  }

  it('as a standard and secure scheme with no way around the policy', () => {
    registerAppScheme()
    expect(electron.protocol.registered).toEqual([
      { scheme: 'app', privileges: { standard: true, secure: true, codeCache: true } },
    ])
  })

  it('from the bundle’s folder, with the policy', async () => {
    const response = await fetchPage('app://lesa/')
    expect(session.handledScheme).toBe('app')
    expect(await response.text()).toBe('the page')
    expect(response.headers.get('content-security-policy')).toBe(contentSecurityPolicy())
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  it.each([
    'app://lesa/%2e%2e/secret.js',
    'app://lesa/..%2fsecret.js',
    'app://other/',
    'app://lesa/x.js',
  ])('and nothing from %s', async (url) => {
    expect((await fetchPage(url)).status).toBe(404)
  })

  it('and no file is ever loaded by file://', () => {
    for (const path of sources) expect(read(path), path).not.toMatch(/loadFile\(|['"`]file:/)
  })
})

it('19. what the program never needs is fused off', () => {
  const config = read('electron-builder.yml')
  const fuses = Object.fromEntries(
    [...(/electronFuses:\n((?: {2}.*\n)+)/.exec(config)?.[1] ?? '').matchAll(/(\w+): (\w+)/g)].map(
      ([, name = '', value = '']): [string, string] => [name, value],
    ),
  )
  expect(fuses).toEqual({
    runAsNode: 'false',
    enableNodeOptionsEnvironmentVariable: 'false',
    enableNodeCliInspectArguments: 'false',
    enableEmbeddedAsarIntegrityValidation: 'true',
    onlyLoadAppFromAsar: 'true',
    grantFileProtocolExtraPrivileges: 'false',
    enableCookieEncryption: 'true',
    resetAdHocDarwinSignature: 'true',
  })
})

it('20. Electron’s own objects stay outside of the page', () => {
  for (const path of sources.filter((file) => file.includes('renderer'))) {
    expect(read(path), path).not.toMatch(/from 'electron'|require\(/)
  }
  const users = sources.filter((path) => /\bipc(Main|Renderer)\b/.test(read(path)))
  expect(users.map((path) => path.replaceAll('\\', '/')).sort()).toEqual([
    'src/main/host/electron.ts',
    'src/preload/index.ts',
  ])
})
