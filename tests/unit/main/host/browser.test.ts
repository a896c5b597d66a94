import { once } from 'node:events'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { request, type IncomingHttpHeaders } from 'node:http'
import { connect, createServer, type AddressInfo } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { SOCKET_PATH, type WireMessage } from '@shared/wire'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { serveWorkbench, type BrowserHost } from '../../../../src/main/host/browser'
import { PushHub } from '../../../../src/main/ipc/pushes'
import { createRouter } from '../../../../src/main/ipc/router'
import { recordingHandlers, snapshot, told } from '../../../support/handlers'

let rendererDir: string
let host: BrowserHost
let pushes: PushHub
let recorded: ReturnType<typeof recordingHandlers>
const sockets: WebSocket[] = []

beforeEach(async () => {
  rendererDir = mkdtempSync(join(tmpdir(), 'lesa-host-'))
  mkdirSync(join(rendererDir, 'assets'))
  writeFileSync(join(rendererDir, 'index.html'), '<!doctype html><title>The page</title>')
  writeFileSync(join(rendererDir, 'assets', 'app.js'), 'export {}')
  pushes = new PushHub()
  recorded = recordingHandlers()
  host = await serveWorkbench({
    port: 0,
    router: createRouter(recorded.handlers),
    pushes,
    rendererDir,
  })
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate()
  await host.close()
  rmSync(rendererDir, { recursive: true, force: true })
})

interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A request as any program could make it: `fetch` would correct the headers and tidy the path. */
function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: host.port, path, headers, method },
      (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (body += chunk))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        )
      },
    )
    sent.on('error', reject)
    sent.end()
  })
}

const entrance = (): string => new URL(host.url).pathname + new URL(host.url).search

async function cookie(): Promise<string> {
  const { headers } = await get(entrance())
  return headers['set-cookie']?.[0]?.split(';')[0] ?? ''
}

const own = (): string => `127.0.0.1:${host.port}`

/** Opens a socket and resolves with its first event: open, or the status it was refused with. */
async function openSocket(
  headers: Record<string, string>,
  path: string = SOCKET_PATH,
): Promise<WebSocket | number> {
  const socket = new WebSocket(`ws://127.0.0.1:${host.port}${path}`, { headers })
  sockets.push(socket)
  socket.on('error', () => {})
  return new Promise((resolve) => {
    socket.on('open', () => resolve(socket))
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
  })
}

async function openOwnSocket(): Promise<WebSocket> {
  const socket = await openSocket({ cookie: await cookie(), origin: `http://${own()}` })
  if (typeof socket === 'number') throw new Error(`Refused with ${socket}.`)
  return socket
}

function nextMessage(socket: WebSocket): Promise<WireMessage> {
  return new Promise((resolve) =>
    socket.once('message', (data: Buffer) => resolve(JSON.parse(data.toString()) as WireMessage)),
  )
}

describe('the way in', () => {
  it('is an address with a 256-bit token', () => {
    const token = new URL(host.url).searchParams.get('token') ?? ''
    expect(Buffer.from(token, 'base64url')).toHaveLength(32)
    expect(host.url.startsWith(`http://127.0.0.1:${host.port}/`)).toBe(true)
  })

  it('exchanges the token for a cookie that is not the token, and moves on', async () => {
    const { status, headers, body } = await get(entrance())
    const [set] = headers['set-cookie'] ?? []
    expect(status).toBe(200)
    expect(set).toMatch(/^lesa-\d+=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/$/)
    expect(set).not.toContain(new URL(host.url).searchParams.get('token'))
    expect(body).toContain('http-equiv="refresh" content="0;url=/"')
    expect(headers).toMatchObject({ 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' })
  })

  it('serves the page and its files to who has the cookie, with every header', async () => {
    const headers = { cookie: await cookie() }
    const page = await get('/', headers)
    expect(page).toMatchObject({ status: 200 })
    expect(page.body).toContain('The page')
    expect(page.headers).toMatchObject({
      'content-security-policy': expect.stringContaining(
        `connect-src 'self' ws://${own()};`,
      ) as unknown,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    })
    expect((await get('/assets/app.js', headers)).headers['content-type']).toContain('javascript')
    expect(await get('/', headers, 'HEAD')).toMatchObject({ status: 200, body: '' })
  })

  it.each(['/', '/assets/app.js', '/?token=wrong', '/?token=', '/missing'])(
    'is closed at %s without the secret',
    async (path) => {
      const { status, headers, body } = await get(path)
      expect(status).toBe(401)
      expect(headers['set-cookie']).toBeUndefined()
      expect(body).not.toContain('The page')
    },
  )

  it.each(['', 'lesa-1=x', 'lesa', '='])('is closed with the cookie %j', async (value) => {
    expect((await get('/', { cookie: value })).status).toBe(401)
  })

  it('is closed with the token as the cookie', async () => {
    const token = new URL(host.url).searchParams.get('token') ?? ''
    expect((await get('/', { cookie: `lesa-${host.port}=${token}` })).status).toBe(401)
  })
})

describe('who may ask', () => {
  it.each([
    'evil.example',
    'evil.example:80',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '0.0.0.0',
  ])('is nobody who calls us %j, with whatever secret', async (name) => {
    const headers = { cookie: await cookie(), host: name }
    expect((await get('/', headers)).status).toBe(403)
    expect((await get(entrance(), { host: name })).status).toBe(403)
  })

  it.each(['localhost', '[::1]', 'LOCALHOST'])('may call us %s', async (name) => {
    const headers = { cookie: await cookie(), host: `${name}:${host.port}` }
    expect((await get('/', headers)).status).toBe(200)
  })

  it.each(['https://evil.example', 'null', 'http://127.0.0.1:1', 'http://localhost'])(
    'is nobody from %s',
    async (origin) => {
      const headers = { cookie: await cookie(), origin }
      expect((await get('/', headers)).status).toBe(403)
      expect(await openSocket(headers)).toBe(403)
    },
  )

  it('is nobody on another network address', async () => {
    const address = Object.values(networkInterfaces())
      .flat()
      .find((candidate) => candidate?.family === 'IPv4' && !candidate.internal)?.address
    // Linux answers on all of 127.0.0.0/8 when a server listens on every address.
    const target = address ?? '127.0.0.2'
    const socket = connect({ host: target, port: host.port })
    const event = await Promise.race([
      once(socket, 'connect').then(() => 'connect'),
      new Promise<string>((resolve) => socket.once('error', () => resolve('error'))),
    ])
    socket.destroy()
    expect(event).toBe('error')
  })
})

describe('files', () => {
  it.each([
    '/../package.json',
    '/%2e%2e/package.json',
    '/assets/..%2f..%2fpackage.json',
    '/assets/../../../etc/passwd',
    '/..%5c..%5cpackage.json',
  ])('outside the bundle are not found: %s', async (path) => {
    const { status } = await get(path, { cookie: await cookie() })
    expect(status).toBe(404)
  })

  it.each(['//evil.example/', 'http://evil.example/', '*'])('are not at %s', async (path) => {
    expect((await get(path, { cookie: await cookie() })).status).toBe(400)
  })

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('are not for %s', async (method) => {
    expect((await get('/', { cookie: await cookie() }, method)).status).toBe(405)
  })
})

describe('the socket', () => {
  it('carries calls and their answers', async () => {
    const socket = await openOwnSocket()
    socket.send(JSON.stringify({ id: 5, name: 'folders:list', args: ['/'] }))
    expect(await nextMessage(socket)).toEqual({
      type: 'answer',
      id: 5,
      envelope: { ok: true, value: { path: '/', parent: null, folders: [], files: [] } },
    })
    expect(recorded.calls).toEqual([{ name: 'folders:list', args: ['/'] }])
  })

  it('carries pushes to every window', async () => {
    const all = [await openOwnSocket(), await openOwnSocket()]
    const messages = Promise.all(all.map(nextMessage))
    pushes.emit('jobs:changed', told(snapshot))
    const expected = { type: 'push', name: 'jobs:changed', payload: told(snapshot) }
    expect(await messages).toEqual([expected, expected])
  })

  it('needs the cookie, an origin and the right path', async () => {
    const origin = `http://${own()}`
    expect(await openSocket({ origin })).toBe(403)
    expect(await openSocket({ origin, cookie: `lesa-${host.port}=wrong` })).toBe(403)
    expect(await openSocket({ cookie: await cookie() })).toBe(403)
    expect(await openSocket({ cookie: await cookie(), origin, host: 'evil.example' })).toBe(403)
    expect(await openSocket({ cookie: await cookie(), origin }, '/')).toBe(404)
  })

  it.each([
    ['no JSON', 'hello', 1008],
    ['no call', '{"id":"x","name":1,"args":{}}', 1008],
    ['null', 'null', 1008],
    ['bytes', Buffer.from('{"id":1,"name":"app:info","args":[]}'), 1008],
    ['a message longer than any text that is uploaded', 'x'.repeat(4_100_001), 1009],
  ])('is closed on %s, and the host goes on', async (_what, data, code) => {
    const socket = await openOwnSocket()
    const closed = once(socket, 'close')
    socket.send(data)
    expect((await closed)[0]).toBe(code)
    expect(recorded.calls).toEqual([])
    const next = await openOwnSocket()
    next.send(JSON.stringify({ id: 1, name: 'jobs:list', args: [] }))
    expect(await nextMessage(next)).toMatchObject({ id: 1, envelope: { ok: true } })
  })

  it('is not for more windows than a person has', async () => {
    const headers = { cookie: await cookie(), origin: `http://${own()}` }
    const results: (WebSocket | number)[] = []
    for (let count = 0; count < 17; count += 1) results.push(await openSocket(headers))
    expect(results.filter((result) => result === 503)).toHaveLength(1)
  })
})

describe('the host', () => {
  it('closes with windows open', async () => {
    const socket = await openOwnSocket()
    const closed = once(socket, 'close')
    await host.close()
    await closed
    await expect(get('/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('says when the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const router = createRouter(recorded.handlers)
    await expect(serveWorkbench({ port, router, pushes, rendererDir })).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'port', actual: 'EADDRINUSE' },
    })
    other.close()
  })
})

describe('connections that show no key', () => {
  it('do not keep out whoever has it', async () => {
    const headers = { host: own(), cookie: await cookie() }
    const line = await openSocket({ ...headers, origin: `http://${own()}` })
    const idle = Array.from({ length: 300 }, () => connect(host.port, '127.0.0.1'))
    let open = 0
    for (const socket of idle) {
      socket.on('error', () => undefined)
      socket.once('connect', () => (open += 1)).once('close', () => (open -= 1))
    }
    try {
      await Promise.all(idle.map((socket) => once(socket, 'connect')))
      expect((await get('/', headers)).status).toBe(200)
      await vi.waitFor(() => expect(open).toBeLessThanOrEqual(64), { timeout: 20_000 })
      expect((await get('/', headers)).status).toBe(200)
      expect(line).toMatchObject({ readyState: WebSocket.OPEN })
    } finally {
      for (const socket of idle) socket.destroy()
    }
  })
})
