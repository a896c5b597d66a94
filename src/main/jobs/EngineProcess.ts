import type { EngineAnswer, EngineRequest } from '@shared/engineProtocol'

/** How an engine process ended. */
export interface EngineExit {
  readonly code: number | null
  readonly signal: string | null
  /** Why, where the system tells: `oom`, or an error on starting. */
  readonly reason?: string
  /** The last of what it wrote to its standard error. */
  readonly stderr: string
}

/** A running engine as its supervisor sees it, however it was started. */
export interface EngineProcess {
  send(request: EngineRequest): void
  onAnswer(listener: (answer: EngineAnswer) => void): void
  /** Called once, after the last answer and when all output has been read. */
  onExit(listener: (exit: EngineExit) => void): void
  /** Ends it at once, without a chance to clean up. */
  kill(): void
}

/** Characters of standard error that are kept for a crash report. */
const TAIL_LENGTH = 4_000

/** Keeps the end of a text stream. */
export class StreamTail {
  #text = ''

  readonly push = (chunk: Buffer | string): void => {
    this.#text = (this.#text + chunk.toString()).slice(-TAIL_LENGTH)
  }

  get text(): string {
    return this.#text.trim()
  }
}

/** Set for this process by Node, Electron or a debugger, and wrong or harmful for a child. */
const PRIVATE_VARIABLES =
  /^(NODE_OPTIONS|NODE_CHANNEL_.*|NODE_INSPECT.*|NODE_V8_COVERAGE|ELECTRON_.*|VSCODE_INSPECTOR_.*)$/i

/**
 * What the C library of most Linux systems does with the engine's large arrays: each gets a mapping of its own, so that
 * one that is let go is memory free for others at once; in huge pages where the system gives them on request, for such
 * mappings are touched anew for every layer that runs, and small pages were half of a small model's time. Other libraries
 * do not know the variable.
 */
const ALLOCATION = {
  GLIBC_TUNABLES: 'glibc.malloc.mmap_threshold=4194304:glibc.malloc.hugetlb=1',
}

/** The environment for the engine: ours, strings only, without what concerns only this process. */
export function engineEnvironment(
  source: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const own = Object.entries(source).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && !PRIVATE_VARIABLES.test(entry[0]),
  )
  // Whoever sets it knows why.
  return { ...ALLOCATION, ...Object.fromEntries(own) }
}
