import { app, utilityProcess, type UtilityProcess } from 'electron'
import type { EngineAnswer, EngineRequest } from '@shared/engineProtocol'
import { engineEnvironment, StreamTail, type EngineExit, type EngineProcess } from './EngineProcess'

const SERVICE_NAME = 'LESA engine'

/** The engine under Electron: a utility process. To be made only after the app is ready. */
export class ElectronEngineProcess implements EngineProcess {
  readonly #child: UtilityProcess
  readonly #output = new StreamTail()
  #reason: string | undefined

  /** @param entry The built `engine.js`. */
  constructor(entry: string) {
    this.#child = utilityProcess.fork(entry, [], {
      serviceName: SERVICE_NAME,
      stdio: 'pipe',
      env: engineEnvironment(process.env),
      execArgv: [],
    })
    this.#child.stdout?.on('data', this.#output.push)
    this.#child.stderr?.on('data', this.#output.push)
    const onGone = (_event: unknown, details: { serviceName?: string; reason: string }): void => {
      if (details.serviceName === SERVICE_NAME) this.#reason = details.reason
    }
    app.on('child-process-gone', onGone)
    this.#child.once('exit', () => setImmediate(() => app.off('child-process-gone', onGone)))
  }

  send(request: EngineRequest): void {
    this.#child.postMessage(request)
  }

  onAnswer(listener: (answer: EngineAnswer) => void): void {
    this.#child.on('message', (message) => listener(message as EngineAnswer))
  }

  onExit(listener: (exit: EngineExit) => void): void {
    this.#child.once('exit', (code) => {
      // The reason comes in an event of its own, within the same turn.
      setImmediate(() =>
        listener({
          code,
          signal: null,
          ...(this.#reason === undefined ? {} : { reason: this.#reason }),
          stderr: this.#output.text,
        }),
      )
    })
  }

  kill(): void {
    const { pid } = this.#child
    try {
      // `kill()` asks politely, which an engine in the middle of a computation does not hear on every system.
      if (pid === undefined) this.#child.kill()
      else process.kill(pid, 'SIGKILL')
    } catch {
      this.#child.kill()
    }
  }
}
