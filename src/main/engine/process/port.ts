import type { EngineAnswer, EngineRequest } from '@shared/engineProtocol'

/** The engine's end of the line to the process that started it. */
export interface EnginePort {
  /** Resolves when the message has left this process, or cannot any more. */
  send(message: EngineAnswer): Promise<void>
  onRequest(listener: (request: EngineRequest) => void): void
  /** Called once the parent has gone, where that is told. */
  onClose(listener: () => void): void
}

/** What Electron adds to `process` in a utility process (its types must not reach the engine). */
interface UtilityParentPort {
  on(event: 'message', listener: (event: { data: unknown }) => void): void
  postMessage(message: unknown): void
}

/** Finds the parent: Electron's port in a utility process, Node's IPC channel in a forked one; `null` in neither. */
export function connectToParent(): EnginePort | null {
  const { parentPort } = process as unknown as { parentPort?: UtilityParentPort }
  if (parentPort) return utilityPort(parentPort)
  return process.send ? forkPort() : null
}

function utilityPort(port: UtilityParentPort): EnginePort {
  return {
    send(message) {
      port.postMessage(message)
      // The port does not tell when a message is out; a turn of the event loop hands it over.
      return new Promise((resolve) => setImmediate(resolve))
    },
    onRequest: (listener) => port.on('message', ({ data }) => listener(data as EngineRequest)),
    // Electron tells nothing: a utility process is ended with the program that made it.
    onClose: () => {},
  }
}

function forkPort(): EnginePort {
  return {
    send: (message) =>
      new Promise((resolve) => {
        // An error here means that the channel has closed; `disconnect` says so as well.
        if (process.connected) process.send?.(message, undefined, undefined, () => resolve())
        else resolve()
      }),
    onRequest: (listener) => process.on('message', (message) => listener(message as EngineRequest)),
    onClose: (listener) => process.once('disconnect', listener),
  }
}
