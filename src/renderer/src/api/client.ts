import type {
  CallArguments,
  CallName,
  CallResults,
  PushName,
  Pushes,
  Transport,
  Unsubscribe,
} from '@shared/contract'
import { AppError, type AppErrorData } from '@shared/errors'
import { inject, type InjectionKey } from 'vue'

/** The contract as the window uses it: answers are values, failures are thrown. */
export class Client {
  readonly #transport: Transport
  readonly #failureListeners = new Set<(error: AppErrorData, call: CallName) => void>()

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** @throws AppError what the program answered. */
  async call<C extends CallName>(name: C, ...args: CallArguments<C>): Promise<CallResults[C]> {
    const envelope = await this.#transport.call(name, args)
    if (envelope.ok) return envelope.value
    for (const listener of this.#failureListeners) listener(envelope.error, name)
    throw AppError.fromData(envelope.error)
  }

  subscribe<P extends PushName>(name: P, listener: (payload: Pushes[P]) => void): Unsubscribe {
    return this.#transport.subscribe(name, listener)
  }

  /** Tells of every call that has failed, beside the one who made it. */
  onFailure(listener: (error: AppErrorData, call: CallName) => void): Unsubscribe {
    this.#failureListeners.add(listener)
    return () => this.#failureListeners.delete(listener)
  }

  /** Tells when the line to the program breaks and when it is back; at once, what it is now. */
  onConnection(listener: (isConnected: boolean) => void): Unsubscribe {
    if (this.#transport.onConnection) return this.#transport.onConnection(listener)
    listener(true)
    return () => {}
  }

  /** Tells when the line is gone for good: the window's key is not valid any more. */
  onRefused(listener: () => void): Unsubscribe {
    return this.#transport.onRefused?.(listener) ?? (() => {})
  }

  /** The path of a dropped file or folder; `null` where the host cannot tell. */
  pathOfFile(file: File): string | null {
    return this.#transport.pathOfFile(file)
  }
}

export const CLIENT: InjectionKey<Client> = Symbol('client')

/** The client, in components and in stores. */
export function useClient(): Client {
  const client = inject(CLIENT)
  if (!client) throw new Error('The client has not been provided.')
  return client
}
