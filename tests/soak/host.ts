import { request, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { callArguments } from '@shared/contract'
import type { Envelope } from '@shared/contract'
import { killAll, startCli } from './program'
import type { Campaign, Trials } from './trials'

interface Server {
  readonly url: URL
  readonly cookie: string
}

const LIMIT_MS = 15_000

/** Sends `lesa serve` what a stranger, another site or a broken page might: it refuses, and goes on serving. */
export const host: Campaign = async (trials) => {
  const { root, work } = trials
  const env = { HOME: join(work, 'home'), LESA_USER_DATA: join(work, 'user') }
  const { child } = startCli(root, ['serve'], {
    env,
    ...(process.platform === 'win32' ? {} : { shell: 'ulimit -n 1024' }),
  })
  try {
    const url = await new Promise<URL>((resolve, reject) => {
      let text = ''
      child.stdout?.on('data', (chunk: string) => {
        text += chunk
        const found = /http:\S+\n/.exec(text)
        if (found) resolve(new URL(found[0].trim()))
      })
      child.once('exit', () => reject(new Error('lesa serve ended')))
    })
    const entrance = await ask({ url, cookie: '' }, { path: `/${url.search}` })
    const cookie = String(entrance.headers['set-cookie']?.[0] ?? '').split(';')[0] ?? ''
    const server = { url, cookie }
    const count = trials.count ?? 2_000
    await requests(trials, server, Math.ceil(count / 2))
    await calls(trials, server, Math.ceil(count / 2))
    await flood(trials, server)
    const end = await ask(server, {})
    if (end.status === 200) trials.passed()
    else trials.failed(`at the end the page answers ${end.status}`)
  } finally {
    killAll(child.pid ?? 0)
  }
  return {}
}

interface Answer {
  /** 0 when the connection was closed without one. */
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

function ask(
  { url, cookie }: Server,
  options: {
    readonly path?: string
    readonly method?: string
    readonly headers?: Readonly<Record<string, string>>
  },
): Promise<Answer> {
  const { path = '/', method = 'GET', headers = {} } = options
  return new Promise((resolve) => {
    const none = { status: 0, headers: {}, body: '' }
    const sent = request(
      {
        host: url.hostname,
        port: url.port,
        path,
        method,
        headers: { host: url.host, ...(cookie === '' ? {} : { cookie }), ...headers },
        timeout: LIMIT_MS,
      },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => (body += text))
        response.once('close', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        )
      },
    )
    sent.once('error', () => resolve(none))
    sent.once('timeout', () => sent.destroy())
    sent.end()
  })
}

async function requests(trials: Trials, server: Server, count: number): Promise<void> {
  const { random } = trials
  const stranger = { ...server, cookie: '' }
  const up = ['..', '%2e%2e', '..%2f..', '%252e%252e', '..\\..', '....//']
  const kinds: readonly (() => Promise<string | null>)[] = [
    async () => {
      const names = ['evil.example', '127.0.0.1.evil.example', '0.0.0.0', '[::2]', '2130706433']
      const { status } = await ask(server, { headers: { host: random.pick(names) } })
      return status === 403 || status === 400 ? null : `a foreign host got ${status}`
    },
    async () => {
      const origin = random.pick(['http://evil.example', 'null', 'https://127.0.0.1', 'file://'])
      const { status } = await ask(server, { headers: { origin } })
      return status === 403 ? null : `a foreign origin got ${status}`
    },
    async () => {
      const { status } = await ask(stranger, {
        path: random.pick(['/', '/index.html', '/assets/x']),
      })
      return status === 401 ? null : `a stranger got ${status}`
    },
    async () => {
      const token = random.pick(['', 'x', 'A'.repeat(43), '%00', 'ü'])
      const { status } = await ask(stranger, { path: `/?token=${encodeURIComponent(token)}` })
      return status === 401 ? null : `a wrong key got ${status}`
    },
    async () => {
      const path = `/${Array(1 + random.below(8))
        .fill(random.pick(up))
        .join('/')}/etc/passwd`
      const { status, body } = await ask(server, { path })
      return status >= 400 && !body.includes('root:') ? null : `${path} got ${status}`
    },
    async () => {
      const method = random.pick(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
      const { status } = await ask(server, { method })
      return status === 405 ? null : `${method} got ${status}`
    },
    async () => {
      const { status } = await ask(server, { path: `/${'x'.repeat(random.below(12_000))}` })
      return [404, 414, 431].includes(status) ? null : `a long path got ${status}`
    },
    async () => {
      const { status } = await ask(server, {})
      return status === 200 ? null : `the page itself got ${status}`
    },
  ]
  for (let trial = 0; trial < count && !trials.isOver(); trial += 1) {
    const problem = await random.pick(kinds)()
    if (problem === null) trials.passed()
    else trials.failed(problem)
  }
}

/** The calls of the window with arguments of every wrong kind: an answer each, and none is a defect. */
async function calls(trials: Trials, server: Server, count: number): Promise<void> {
  const { random } = trials
  const names = Object.keys(callArguments)
  const wrong = (): unknown =>
    random.pick<() => unknown>([
      () => null,
      () => random.pick([0, -1, 1e308, 1.5]),
      () => random.pick(['', 'x', '/', '/etc/passwd', '..', '\0', 'n'.repeat(5_000)]),
      () => [],
      () => ({ name: 'x', model: '/', force: true }),
      () => ({ __proto__: null, kind: 'expand' }),
      () => '0123456789abcdef',
    ])()
  let line = await open(server)
  for (let trial = 0; trial < count && !trials.isOver(); trial += 1) {
    // What opens dialogs or makes folders again and again is not asked for.
    const name = random.pick(names.filter((each) => !/createDemo|choose|reveal|devices/.test(each)))
    if (random.happens(0.05)) {
      line.socket.send(random.pick(['', '{', '[]', '{"id":1}', '\0', '{"id":"x","name":"y"}']))
      const isClosed = await Promise.race([line.closed.then(() => true), wait(LIMIT_MS, false)])
      if (isClosed) trials.passed()
      else trials.failed('a message that is none did not end the line')
      line = await open(server)
      continue
    }
    const args = Array.from({ length: random.below(4) }, wrong)
    const answer = await line.call(name, args)
    if (answer === null) {
      trials.failed(`${name}: no answer`)
      line = await open(server)
    } else if (!answer.ok && ['bug', 'engine_crashed'].includes(answer.error.code)) {
      trials.failed(
        `${name} ${JSON.stringify(args).slice(0, 200)}: ${JSON.stringify(answer.error)}`,
      )
    } else trials.passed()
  }
  line.socket.terminate()
}

async function open({ url, cookie }: Server) {
  const socket = new WebSocket(`ws://${url.host}/socket`, {
    headers: { cookie, origin: `http://${url.host}` },
  })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.once('open', resolve))
  const waiting = new Map<number, (answer: Envelope<unknown>) => void>()
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString('utf8')) as {
      readonly type: string
      readonly id: number
      readonly envelope: Envelope<unknown>
    }
    if (message.type === 'answer') waiting.get(message.id)?.(message.envelope)
  })
  let next = 1
  const call = (name: string, args: readonly unknown[]): Promise<Envelope<unknown> | null> => {
    const id = next
    next += 1
    const answer = new Promise<Envelope<unknown>>((resolve) => waiting.set(id, resolve))
    socket.send(JSON.stringify({ id, name, args }))
    return Promise.race([answer, closed.then(() => null), wait(LIMIT_MS, null, { ref: false })])
  }
  return { socket, closed, call }
}

/** Connections without a key, more than the process may have open: whoever has the key is served all the same. */
async function flood(trials: Trials, server: Server): Promise<void> {
  const line = await open(server)
  const sockets: Socket[] = Array.from({ length: 1_500 }, () => {
    const socket = connect(Number(server.url.port), server.url.hostname)
    return socket.on('error', () => undefined)
  })
  await Promise.all(
    sockets.map((socket) =>
      Promise.race([
        new Promise((resolve) => socket.once('connect', resolve).once('close', resolve)),
        wait(LIMIT_MS, null, { ref: false }),
      ]),
    ),
  )
  const page = await ask(server, {})
  if (page.status === 200) trials.passed()
  else trials.failed(`among 1,500 idle connections the page got ${page.status}`)
  const model = join(trials.root, 'resources/demo-model')
  const answer = await line.call('folders:identify', [model])
  if (answer?.ok) trials.passed()
  else trials.failed(`among 1,500 idle connections a call got ${JSON.stringify(answer)}`)
  const demo = await line.call('models:inspect', [model])
  if (demo?.ok) trials.passed()
  else trials.failed(`among 1,500 idle connections the engine answered ${JSON.stringify(demo)}`)
  for (const socket of sockets) socket.destroy()
  line.socket.terminate()
}
