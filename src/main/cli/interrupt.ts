import { constants } from 'node:os'

/**
 * Signals that mean "stop": Ctrl-C, a polite kill, a terminal that closes, Ctrl-Break on Windows.
 * Node emulates the first on Windows; the others never come where they do not exist.
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK'] as const

/**
 * A second signal ends the program at once, but one Ctrl-C may arrive twice: from the terminal, and passed on by npm.
 * A person needs longer than this for the second.
 */
const ECHO_MS = 500

export interface InterruptHost {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
  exit(code: number): void
}

/** Turns the first signal into an abort and a later one into the program's immediate end. */
export class Interrupt {
  readonly #host: InterruptHost
  readonly #onFirst: () => void
  readonly #now: () => number
  readonly #controller = new AbortController()
  #first: { readonly signal: NodeJS.Signals; readonly at: number } | null = null

  constructor(host: InterruptHost, onFirst: () => void, now: () => number = Date.now) {
    this.#host = host
    this.#onFirst = onFirst
    this.#now = now
    for (const signal of SIGNALS) host.on(signal, this.#receive)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** 128 plus the signal's number, as shells report it: 130 for Ctrl-C. */
  get exitCode(): number {
    return exitCodeOf(this.#first?.signal ?? 'SIGINT')
  }

  dispose(): void {
    for (const signal of SIGNALS) this.#host.off(signal, this.#receive)
  }

  readonly #receive = (signal: NodeJS.Signals): void => {
    const now = this.#now()
    if (this.#first === null) {
      this.#first = { signal, at: now }
      this.#onFirst()
      this.#controller.abort()
    } else if (now - this.#first.at >= ECHO_MS) {
      this.#host.exit(exitCodeOf(signal))
    }
  }
}

function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + (constants.signals[signal] ?? constants.signals.SIGINT)
}
