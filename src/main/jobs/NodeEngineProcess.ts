import { fork, type ChildProcess } from 'node:child_process'
import type { EngineAnswer, EngineRequest } from '@shared/engineProtocol'
import { engineEnvironment, StreamTail, type EngineExit, type EngineProcess } from './EngineProcess'

/** The engine under plain Node: a forked process with an IPC channel. */
export class NodeEngineProcess implements EngineProcess {
  readonly #child: ChildProcess
  readonly #output = new StreamTail()

  /** @param entry The built `engine.js`. */
  constructor(entry: string) {
    this.#child = fork(entry, [], {
      // Structured clone: typed arrays and NaN survive.
      serialization: 'advanced',
      // Nothing of the engine may reach our standard output, which carries results.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: engineEnvironment(process.env),
      execArgv: [],
    })
    this.#child.stdout?.on('data', this.#output.push)
    this.#child.stderr?.on('data', this.#output.push)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  send(request: EngineRequest): void {
    // A failed write means that the process is going; its exit is what is reported.
    if (this.#child.connected) this.#child.send(request, () => {})
  }

  onAnswer(listener: (answer: EngineAnswer) => void): void {
    this.#child.on('message', (message) => listener(message as EngineAnswer))
  }

  onExit(listener: (exit: EngineExit) => void): void {
    let told = false
    const tell = (exit: Omit<EngineExit, 'stderr'>): void => {
      if (told) return
      told = true
      listener({ ...exit, stderr: this.#output.text })
    }
    this.#child.once('close', (code, signal) => tell({ code, signal }))
    this.#child.on('error', (error) => {
      // Without a pid it never started, and no `close` will follow.
      if (this.#child.pid === undefined) tell({ code: null, signal: null, reason: error.message })
    })
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
