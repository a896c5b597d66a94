import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocketTransport } from '../../../src/renderer/src/api/WebSocketTransport'
import { snapshot, told } from '../../support/handlers'

/** The browser's socket, driven by the test. */
class FakeSocket extends EventTarget {
  static made: FakeSocket[] = []
  readonly sent: string[] = []

  constructor(readonly url: string) {
    super()
    FakeSocket.made.push(this)
  }

  send(text: string): void {
    this.sent.push(text)
  }

  open(): void {
    this.dispatchEvent(new Event('open'))
  }

  close(): void {
    this.dispatchEvent(new Event('close'))
  }

  receive(message: unknown): void {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }))
  }
}

const latest = (): FakeSocket => {
  const socket = FakeSocket.made.at(-1)
  if (!socket) throw new Error('No socket.')
  return socket
}

beforeEach(() => {
  vi.useFakeTimers()
  FakeSocket.made = []
  vi.stubGlobal('WebSocket', FakeSocket)
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('nobody answers')))
})

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('the socket’s transport', () => {
  it('holds calls back until the line is up, and matches answers to them', async () => {
    const transport = new WebSocketTransport('ws://host/socket')
    const [first, second] = [transport.call('jobs:list', []), transport.call('jobs:get', ['a'])]
    expect(latest().sent).toEqual([])
    latest().open()
    expect(latest().sent.map((text) => JSON.parse(text) as unknown)).toEqual([
      { id: 1, name: 'jobs:list', args: [] },
      { id: 2, name: 'jobs:get', args: ['a'] },
    ])
    latest().receive({ type: 'answer', id: 2, envelope: { ok: true, value: snapshot } })
    latest().receive({ type: 'answer', id: 1, envelope: { ok: true, value: [] } })
    expect(await first).toEqual({ ok: true, value: [] })
    expect(await second).toEqual({ ok: true, value: snapshot })
  })

  it('hands pushes to their listeners until they leave', () => {
    const transport = new WebSocketTransport('ws://host/socket')
    const heard: unknown[] = []
    const leave = transport.subscribe('app:command', (id) => heard.push(id))
    latest().receive({ type: 'push', name: 'app:command', payload: 'job:run' })
    latest().receive({ type: 'push', name: 'jobs:changed', payload: told(snapshot) })
    leave()
    latest().receive({ type: 'push', name: 'app:command', payload: 'job:cancel' })
    expect(heard).toEqual(['job:run'])
  })

  it('answers what was asked when the line breaks, and what is asked before it is back', async () => {
    const transport = new WebSocketTransport('ws://host/socket')
    latest().open()
    const asked = transport.call('jobs:list', [])
    latest().close()
    const broken = { ok: false, error: { code: 'disconnected' } }
    expect(await asked).toMatchObject(broken)
    expect(await transport.call('jobs:list', [])).toMatchObject(broken)
  })

  it('comes back by itself, ever more patiently, and tells', async () => {
    const transport = new WebSocketTransport('ws://host/socket')
    const states: boolean[] = []
    transport.onConnection((isConnected) => states.push(isConnected))
    latest().open()
    latest().close()
    expect(FakeSocket.made).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(250)
    expect(FakeSocket.made).toHaveLength(2)
    latest().close()
    await vi.advanceTimersByTimeAsync(250)
    expect(FakeSocket.made).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(250)
    expect(FakeSocket.made).toHaveLength(3)
    latest().open()
    expect(states).toEqual([true, false, false, true])
    latest().close()
    await vi.advanceTimersByTimeAsync(250)
    expect(FakeSocket.made).toHaveLength(4)
  })

  it('stops trying where the program is there but knows its key no more, and says so', async () => {
    vi.stubGlobal('fetch', (page: URL) => {
      expect(String(page)).toBe('http://host/')
      return Promise.resolve({ status: 401 })
    })
    const transport = new WebSocketTransport('ws://host/socket')
    const heard: string[] = []
    transport.onRefused(() => heard.push('refused'))
    latest().open()
    latest().close()
    await vi.advanceTimersByTimeAsync(60_000)
    expect([heard, FakeSocket.made.length]).toEqual([['refused'], 1])
    const { ok, ...rest } = await transport.call('jobs:list', [])
    expect(ok).toBe(false)
    expect(rest).toMatchObject({ error: { message: expect.stringContaining('key') as string } })
  })
})
