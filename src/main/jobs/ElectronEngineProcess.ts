import { finished } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { app, utilityProcess, type Details, type Event, type UtilityProcess } from 'electron'
import type { EngineAnswer, EngineRequest } from '@shared/engineProtocol'
import { engineEnvironment, StreamTail, type EngineExit, type EngineProcess } from './EngineProcess'

/** Electron tells of an exit before the last output and the reason have come; they are waited for this long. */
const LAST_WORDS_MS = 1_000

const REASONS: Partial<Record<Details['reason'], string>> = {
  oom: 'out of memory',
  'memory-eviction': 'ended by the system, which needed the memory',
  'launch-failed': 'it could not be started',
}

let made = 0

/** The engine under Electron: a utility process. To be made only after the app is ready. */
export class ElectronEngineProcess implements EngineProcess {
  readonly #child: UtilityProcess
  /** Tells it from the other engine in what Electron reports of all its processes. */
  readonly #name = `LESA engine ${(made += 1)}`
  readonly #output = new StreamTail()
  readonly #exit: Promise<EngineExit>
  #isKilled = false

  /** @param entry The built `engine.js`. */
  constructor(entry: string) {
    this.#child = utilityProcess.fork(entry, [], {
      serviceName: this.#name,
      stdio: 'pipe',
      env: engineEnvironment(process.env),
      execArgv: [],
    })
    this.#exit = this.#follow(this.#child)
    this.#child.once('spawn', () => {
      if (this.#isKilled) this.kill()
    })
  }

  send(request: EngineRequest): void {
    this.#child.postMessage(request)
  }

  onAnswer(listener: (answer: EngineAnswer) => void): void {
    this.#child.on('message', (message) => listener(message as EngineAnswer))
  }

  onExit(listener: (exit: EngineExit) => void): void {
    void this.#exit.then(listener)
  }

  kill(): void {
    this.#isKilled = true
    const { pid } = this.#child
    // Until it has been spawned there is nothing to kill, and Electron does not remember that it was asked.
    if (pid === undefined) return
    try {
      // `kill()` asks politely, which an engine in the middle of a computation does not hear on every system.
      process.kill(pid, 'SIGKILL')
    } catch {
      this.#child.kill()
    }
  }

  /** Resolves when the process has ended and said its last, with why it ended as far as anything tells. */
  async #follow(child: UtilityProcess): Promise<EngineExit> {
    // Kept, because Electron lets go of them on exit.
    const streams = [child.stdout, child.stderr].filter((stream) => stream !== null)
    const listen = (): void => {
      for (const stream of streams) stream.on('data', this.#output.push)
    }
    listen()

    let fatal: string | undefined
    // Without a listener, Node throws it in this process.
    child.on('error', (type, location) => (fatal = location === '' ? type : location))
    let reason: Details['reason'] | undefined
    let onGone!: (event: Event, details: Details) => void
    const told = new Promise<Details['reason']>((resolve) => {
      onGone = (_event, details) => {
        if (details.name !== this.#name) return
        reason = details.reason
        resolve(reason)
      }
    })
    app.on('child-process-gone', onGone)

    const code = await new Promise<number | null>((resolve) => {
      child.once('exit', resolve)
      // A process that never was does not exit.
      void told.then((given) => given === 'launch-failed' && resolve(null))
    })
    // Electron has just taken every listener off the streams, whether or not they have come to their end.
    listen()
    const awaited: Promise<unknown>[] = []
    if (code !== null) awaited.push(...streams.map((stream) => endOf(stream)))
    if (code !== 0 && !this.#isKilled) awaited.push(told)
    const timeout = new AbortController()
    await Promise.race([
      Promise.all(awaited),
      delay(LAST_WORDS_MS, undefined, { signal: timeout.signal }).catch(() => undefined),
    ])
    timeout.abort()
    app.off('child-process-gone', onGone)

    const why = fatal ?? (reason === undefined ? undefined : (REASONS[reason] ?? reason))
    return {
      code,
      signal: null,
      ...(why === undefined ? {} : { reason: why }),
      stderr: this.#output.text,
    }
  }
}

/** Resolves when all that was written to the stream has been read. */
function endOf(stream: NodeJS.ReadableStream): Promise<void> {
  return finished(stream, { writable: false }).catch(() => undefined)
}
