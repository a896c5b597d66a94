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
import { AppError, toAppError } from '@shared/errors'
import { createPinia, setActivePinia, type Pinia } from 'pinia'
import { createApp } from 'vue'
import { Client, CLIENT } from '../../src/renderer/src/api/client'

export type Answers = {
  [C in CallName]?: (...args: CallArguments<C>) => CallResults[C] | Promise<CallResults[C]>
}

/** The contract answered by functions of the test; a call without one fails as the program's own would. */
export class FakeTransport implements Transport {
  readonly calls: { readonly name: CallName; readonly args: readonly unknown[] }[] = []
  readonly #answers: Answers
  readonly #listeners: { name: PushName; listener: (payload: never) => void }[] = []
  readonly #watchers: ((isConnected: boolean) => void)[] = []
  droppedPath: string | null = null

  constructor(answers: Answers) {
    this.#answers = answers
  }

  async call<C extends CallName>(
    name: C,
    args: CallArguments<C>,
  ): Promise<Envelope<CallResults[C]>> {
    // As a host does: what cannot be cloned cannot be sent.
    const sent = structuredClone(args)
    this.calls.push({ name, args: sent })
    const answer = this.#answers[name] as
      ((...args: readonly unknown[]) => CallResults[C] | Promise<CallResults[C]>) | undefined
    try {
      if (!answer) throw new AppError('not_found', `The test does not answer ${name}.`)
      return { ok: true, value: await answer(...sent) }
    } catch (thrown) {
      return { ok: false, error: toAppError(thrown).toData() }
    }
  }

  subscribe<P extends PushName>(name: P, listener: (payload: Pushes[P]) => void): Unsubscribe {
    const entry = { name, listener: listener as (payload: never) => void }
    this.#listeners.push(entry)
    return () => this.#listeners.splice(this.#listeners.indexOf(entry), 1)
  }

  onConnection(listener: (isConnected: boolean) => void): Unsubscribe {
    this.#watchers.push(listener)
    return () => this.#watchers.splice(this.#watchers.indexOf(listener), 1)
  }

  pathOfFile(): string | null {
    return this.droppedPath
  }

  push<P extends PushName>(name: P, payload: Pushes[P]): void {
    for (const entry of this.#listeners) {
      if (entry.name === name) entry.listener(payload as never)
    }
  }

  setConnected(isConnected: boolean): void {
    for (const watcher of this.#watchers) watcher(isConnected)
  }
}

/** Stores outside of any component, with a transport of the test's. */
export function activatePinia(transport: Transport): Pinia {
  const pinia = createPinia()
  createApp({}).provide(CLIENT, new Client(transport)).use(pinia)
  setActivePinia(pinia)
  return pinia
}
