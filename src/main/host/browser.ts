import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import type { Duplex } from 'node:stream'
import { SOCKET_PATH, type WireRequest } from '@shared/wire'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import { AppError } from '@shared/errors'
import { MAX_UPLOAD_BYTES } from '@shared/projects'
import type { PushHub } from '../ipc/pushes'
import type { Router } from '../ipc/router'
import { resolveAsset } from './assets'
import { securityHeaders } from './headers'

export interface ServeOptions {
  /** 0 takes any free port. */
  readonly port: number
  readonly router: Router
  readonly pushes: PushHub
  /** The built renderer. */
  readonly rendererDir: string
  /** The secret in the address; random by default. */
  readonly token?: string
}

export interface BrowserHost {
  /** The address to open, with the secret. */
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

const ADDRESS = '127.0.0.1'

/** The largest call: a text that is uploaded, with what is around it. */
const MAX_MESSAGE_BYTES = MAX_UPLOAD_BYTES + 100_000

/**
 * A window that reads nothing while this much waits for it is dropped; it asks again when it is back. The largest answer,
 * half a million tensors, takes a quarter of it.
 */
const MAX_BACKLOG_BYTES = 128 * 1_048_576

const MAX_WINDOWS = 16

/** Calls of one window that are not answered yet. */
const MAX_PENDING_CALLS = 64

const HEARTBEAT_MS = 30_000

/**
 * Connections that have not shown the key. Beyond it the oldest goes: one that means to ask does so at once, and the
 * others must not take up what the program may open.
 */
const MAX_STRANGERS = 64

/**
 * Serves the workbench to browsers on this machine, and to nobody else:
 *
 * - it listens on the loopback address only, and answers only to a loopback `Host` (a name that an attacker has made
 *   point to 127.0.0.1 is refused);
 * - the address holds a random 256-bit token, exchanged on the first visit for a cookie that scripts cannot read and
 *   other sites do not send; without it there is neither a page nor a socket;
 * - a request that says where it comes from must come from this very page.
 *
 * @throws AppError `bad_request` when the port is taken or not allowed.
 */
export async function serveWorkbench(options: ServeOptions): Promise<BrowserHost> {
  const { router, pushes, rendererDir } = options
  const token = options.token ?? randomSecret()
  const session = randomSecret()
  const server = createServer({ maxHeaderSize: 16_384 })
  server.requestTimeout = 30_000

  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const error = new AppError('bad_request', `Port ${options.port} cannot be used.`, {
        hint: 'Another program may use it: choose another one, or 0 for any that is free.',
        context: { field: 'port', actual: cause.code ?? cause.message },
        cause,
      })
      reject(error)
    })
    server.listen(options.port, ADDRESS, resolve)
  })
  const { port } = server.address() as AddressInfo

  // Cookies do not tell ports apart; the name does, so that two servers on one machine get along.
  const cookie = `lesa-${port}`
  const strangers = new Set<Socket>()
  server.on('connection', (socket) => {
    strangers.add(socket)
    socket.once('close', () => strangers.delete(socket))
    const [oldest] = strangers
    if (strangers.size > MAX_STRANGERS) oldest?.destroy()
  })
  const isAuthentic = (request: IncomingMessage): boolean => {
    const isKnown = sameSecret(cookieOf(request, cookie), session)
    if (isKnown) strangers.delete(request.socket)
    return isKnown
  }

  server.on('request', (request, response) => {
    void answer(request, response).catch(() => response.destroy())
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = refuse(request)
    if (refusal) return sendText(response, 403, refusal)
    const url = parseTarget(request)
    if (!url) return sendText(response, 400, 'The address is not understood.')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      return sendText(response, 405, 'Only GET is answered here.')
    }
    if (url.pathname === '/' && url.searchParams.has('token')) {
      if (!sameSecret(url.searchParams.get('token'), token)) return sendText(response, 401, LOCKED)
      response.setHeader('Set-Cookie', `${cookie}=${session}; HttpOnly; SameSite=Strict; Path=/`)
      // A page that moves on by itself, not a redirect: after a redirect that began on another site the browser would
      // hold the new cookie back.
      return sendHtml(response, ENTRANCE)
    }
    if (!isAuthentic(request)) return sendText(response, 401, LOCKED)
    const asset = await resolveAsset(rendererDir, url.pathname)
    if (!asset) return sendText(response, 404, 'There is nothing here.')
    response.writeHead(200, {
      ...securityHeaders(`ws://${request.headers.host}`),
      'Content-Type': asset.type,
      // Bundled files carry a hash in their names; the page itself must always be the newest.
      'Cache-Control': url.pathname.startsWith('/assets/')
        ? 'private, max-age=31536000'
        : 'no-store',
    })
    if (request.method === 'HEAD') return void response.end()
    await pipeline(createReadStream(asset.file), response)
  }

  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: true,
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const url = parseTarget(request)
    if (refuse(request) || request.headers.origin === undefined || !isAuthentic(request)) {
      return rejectUpgrade(socket, '403 Forbidden')
    }
    if (url?.pathname !== SOCKET_PATH) return rejectUpgrade(socket, '404 Not Found')
    if (sockets.clients.size >= MAX_WINDOWS) {
      return rejectUpgrade(socket, '503 Service Unavailable')
    }
    sockets.handleUpgrade(request, socket, head, (client) => serveWindow(client, router, alive))
  })

  const alive = new WeakSet<WebSocket>()
  const heartbeat = setInterval(() => {
    for (const client of sockets.clients) {
      if (!alive.delete(client)) client.terminate()
      else client.ping()
    }
  }, HEARTBEAT_MS)

  const unsubscribe = pushes.subscribe((name, payload) => {
    const text = JSON.stringify({ type: 'push', name, payload })
    for (const client of sockets.clients) sendTo(client, text)
  })

  return {
    url: `http://${ADDRESS}:${port}/?token=${token}`,
    port,
    async close() {
      unsubscribe()
      clearInterval(heartbeat)
      for (const client of sockets.clients) client.terminate()
      sockets.close()
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** One window's calls. */
function serveWindow(client: WebSocket, router: Router, alive: WeakSet<WebSocket>): void {
  let pending = 0
  alive.add(client)
  client.on('pong', () => alive.add(client))
  // Too large a message, or no WebSocket at all: `ws` closes the connection after this event.
  client.on('error', () => client.terminate())
  client.on('message', (data, isBinary) => {
    const request = isBinary ? null : parseRequest(data)
    if (!request || pending >= MAX_PENDING_CALLS) return client.close(1008)
    pending += 1
    void router.dispatch(request.name, request.args).then((envelope) => {
      pending -= 1
      sendTo(client, JSON.stringify({ type: 'answer', id: request.id, envelope }))
    })
  })
}

function sendTo(client: WebSocket, text: string): void {
  if (client.readyState !== client.OPEN) return
  if (client.bufferedAmount > MAX_BACKLOG_BYTES) return client.terminate()
  client.send(text)
}

function parseRequest(data: RawData): WireRequest | null {
  try {
    // Text frames arrive as a Buffer with the default binary type.
    const value: unknown = JSON.parse((data as Buffer).toString('utf8'))
    if (typeof value !== 'object' || value === null) return null
    const { id, name, args } = value as Record<string, unknown>
    return Number.isSafeInteger(id) && typeof name === 'string' && Array.isArray(args)
      ? { id: id as number, name, args }
      : null
  } catch {
    return null
  }
}

/** Why a request may not come in, whatever it asks for; `null` when it may. */
function refuse(request: IncomingMessage): string | null {
  const { host, origin } = request.headers
  // Any port: the person may have forwarded it from another machine.
  if (host === undefined || !/^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i.test(host)) {
    return 'This address is not served. Open the one that the program printed.'
  }
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    return 'Other sites may not call this program.'
  }
  return null
}

function parseTarget(request: IncomingMessage): URL | null {
  // Only the origin form; `new URL` would take `//host/path` and absolute addresses for other hosts.
  const target = request.url ?? ''
  if (!target.startsWith('/') || target.startsWith('//')) return null
  try {
    return new URL(`http://${ADDRESS}${target}`)
  } catch {
    return null
  }
}

function cookieOf(request: IncomingMessage, name: string): string | null {
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const [key, value] = part.trim().split('=')
    if (key === name && value !== undefined) return value
  }
  return null
}

function randomSecret(): string {
  return randomBytes(32).toString('base64url')
}

/** Compares in constant time; hashing makes the lengths equal. */
function sameSecret(given: string | null, secret: string): boolean {
  if (given === null) return false
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(secret))
}

const LOCKED = 'Open the address that the program printed: it holds the key to this page.'

/** Replaces itself at once by the page without the token, so that neither history nor screen keeps it. */
const ENTRANCE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="refresh" content="0;url=/" />
    <link rel="icon" href="data:," />
    <title>LESA Workbench</title>
  </head>
  <body><a href="/">Open the workbench</a></body>
</html>
`

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    ...securityHeaders(),
    'Content-Type': 'text/plain; charset=utf-8',
    'Cache-Control': 'no-store',
  })
  response.end(`${text}\n`)
}

function sendHtml(response: ServerResponse, html: string): void {
  response.writeHead(200, {
    ...securityHeaders(),
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
  })
  response.end(html)
}

function rejectUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
