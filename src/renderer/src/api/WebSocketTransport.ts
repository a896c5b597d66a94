import type {
  CallArguments,
  CallName,
  CallResults,
  Envelope,
  PushName,
  Pushes,
  Transport,
  Unsubscribe,
} from '@shared/contract'
import type { AppErrorData } from '@shared/errors'
import type { WireMessage, WireRequest } from '@shared/wire'

const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 5_000

const NO_ANSWER: AppErrorData = {
  code: 'disconnected',
  message: 'The program that served this page does not answer.',
  hint: 'Start it again with "lesa serve" and open the address that it prints.',
}

const KEY_REFUSED: AppErrorData = {
  code: 'disconnected',
  message: 'The program was started again, and the key of this page is no longer valid.',
  hint: 'Open the address that "lesa serve" printed when it was started.',
}

type Answer = (envelope: Envelope<never>) => void

/** The contract over the browser host's WebSocket. It comes back by itself when the line breaks. */
export class WebSocketTransport implements Transport {
  readonly #url: string
  readonly #answers = new Map<number, Answer>()
  readonly #listeners = new Map<PushName, Set<(payload: never) => void>>()
  readonly #watchers = new Set<(isConnected: boolean) => void>()
  /** Calls made before the line is up wait here. */
  #waiting: string[] = []
  #socket: WebSocket | null = null
  readonly #refusalWatchers = new Set<() => void>()
  #isConnected = false
  #isRefused = false
  #hasConnected = false
  #nextId = 1
  #retryMs = FIRST_RETRY_MS

  constructor(url: string) {
    this.#url = url
    this.#connect()
  }

  call<C extends CallName>(name: C, args: CallArguments<C>): Promise<Envelope<CallResults[C]>> {
    const id = this.#nextId
    this.#nextId += 1
    const text = JSON.stringify({ id, name, args } satisfies WireRequest)
    return new Promise((resolve) => {
      this.#answers.set(id, resolve)
      if (this.#isConnected) this.#socket?.send(text)
      else if (this.#hasConnected) this.#fail()
      else this.#waiting.push(text)
    })
  }

  subscribe<P extends PushName>(name: P, listener: (payload: Pushes[P]) => void): Unsubscribe {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  onConnection(listener: (isConnected: boolean) => void): Unsubscribe {
    this.#watchers.add(listener)
    if (this.#isConnected) listener(true)
    return () => this.#watchers.delete(listener)
  }

  onRefused(listener: () => void): Unsubscribe {
    this.#refusalWatchers.add(listener)
    if (this.#isRefused) listener()
    return () => this.#refusalWatchers.delete(listener)
  }

  pathOfFile(): null {
    return null
  }

  #connect(): void {
    const socket = new WebSocket(this.#url)
    this.#socket = socket
    socket.addEventListener('open', () => {
      this.#retryMs = FIRST_RETRY_MS
      this.#hasConnected = true
      for (const text of this.#waiting.splice(0)) socket.send(text)
      this.#setConnected(true)
    })
    socket.addEventListener('message', ({ data }) => this.#receive(String(data)))
    socket.addEventListener('close', () => {
      this.#waiting = []
      this.#fail()
      this.#setConnected(false)
      void this.#comeBack()
    })
  }

  /** Tries again after a while, unless the program is there and refuses the page's key. */
  async #comeBack(): Promise<void> {
    if (await this.#asksForKey()) {
      this.#isRefused = true
      for (const watcher of this.#refusalWatchers) watcher()
      return
    }
    setTimeout(() => this.#connect(), this.#retryMs)
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2)
  }

  /** A socket does not say why it was not opened; the page's own address does. */
  async #asksForKey(): Promise<boolean> {
    try {
      const page = new URL('/', this.#url.replace(/^ws/, 'http'))
      const { status } = await fetch(page, { method: 'HEAD', cache: 'no-store' })
      return status === 401 || status === 403
    } catch {
      return false
    }
  }

  #receive(text: string): void {
    const message = JSON.parse(text) as WireMessage
    if (message.type === 'answer') {
      this.#answers.get(message.id)?.(message.envelope as Envelope<never>)
      this.#answers.delete(message.id)
      return
    }
    const listeners = this.#listeners.get(message.name) ?? []
    for (const listener of listeners) listener(message.payload as never)
  }

  /** Whatever waits for an answer gets none any more. */
  #fail(): void {
    for (const answer of this.#answers.values()) {
      answer({
        ok: false,
        error: this.#isRefused ? KEY_REFUSED : NO_ANSWER,
      })
    }
    this.#answers.clear()
  }

  #setConnected(isConnected: boolean): void {
    this.#isConnected = isConnected
    for (const watcher of this.#watchers) watcher(isConnected)
  }
}
