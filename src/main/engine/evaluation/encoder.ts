/** @file Runs the tokenizer library where it can be ended. */
import { fork } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import type {
  DecodeDone,
  EncodeAnswer,
  EncodeRequest,
  FirstRequest,
  FurtherRequest,
  TokenizerLibrary,
  TokenizerSource,
} from './tokenizerProcess'
import entry from './tokenizerProcess?modulePath'

/** Loading takes seconds for the largest tokenizers on a slow machine. */
const LOADING_MS = 30_000

/** The slowest kinds measured take two to three seconds on a machine that has other work too. */
const MS_PER_MEGABYTE = 20_000

/** Milliseconds after which texts of so many characters are given up. */
export function timeLimit(characters: number): number {
  return LOADING_MS + Math.ceil((characters / 1e6) * MS_PER_MEGABYTE)
}

/** What can be loaded here. */
export async function availableLibrary(): Promise<TokenizerLibrary> {
  try {
    await import('@anush008/tokenizers')
    return 'native'
  } catch {
    return 'javascript'
  }
}

/** A process or thread that answers one request after another. */
interface Runner {
  send(request: FirstRequest | FurtherRequest): void
  /** Ends it at once. */
  end(): void
}

type Answer = EncodeAnswer | DecodeDone
type Failed = Extract<EncodeAnswer, { state: 'failed' }>

interface RunnerEvents {
  readonly answered: (answer: Answer) => void
  /** Told what it said before it ended. */
  readonly ended: (reason: string) => void
}

/** Electron's own processes cannot start a plain Node process. */
const IN_ELECTRON = process.versions['electron'] !== undefined

export interface EncodeLimits {
  readonly signal: AbortSignal
  readonly limitMs: number
}

/** A tokenizer in a process of its own, for texts that come one after another. To be ended. */
export class Encoder {
  readonly #runner: Runner
  #source: TokenizerSource | null
  #waiting: ((answer: Answer) => void) | null = null
  /** Why there will be no more answers. */
  #over: Failed | null = null

  constructor(source: TokenizerSource, inThread = IN_ELECTRON) {
    this.#source = source
    this.#runner = (inThread ? thread : childProcess)({
      answered: (answer) => this.#waiting?.(answer),
      ended: (reason) => {
        this.#over = failed(reason)
        this.#waiting?.(this.#over)
      },
    })
  }

  /**
   * Tokenises texts; one call at a time. Whatever the library does, this ends: with its answer, with `failed` when the
   * process ended or took longer than `limitMs`, or with the signal's reason. After the last two there is no process.
   */
  async encode(
    texts: readonly string[],
    { special = false, ...limits }: EncodeLimits & { readonly special?: boolean },
  ): Promise<EncodeAnswer> {
    const answer = await this.#ask({ texts, special }, limits)
    return answer.state === 'decoded' ? failed('it made texts of texts') : answer
  }

  /** The text of each list of tokens, with special tokens as they are written; it ends as {@link encode} does. */
  async decode(
    lists: readonly (readonly number[])[],
    limits: EncodeLimits,
  ): Promise<DecodeDone | Failed> {
    const answer = await this.#ask({ lists }, limits)
    return answer.state === 'done' ? failed('it made tokens of tokens') : answer
  }

  async #ask(request: FurtherRequest, { signal, limitMs }: EncodeLimits): Promise<Answer> {
    signal.throwIfAborted()
    if (this.#over) return this.#over
    const over = AbortSignal.timeout(limitMs)
    const ends = AbortSignal.any([signal, over])
    const stop = (): void => {
      this.end()
      this.#waiting?.(failed(`it took longer than ${Math.round(limitMs / 1000)} s`))
    }
    try {
      return await new Promise<Answer>((resolve) => {
        this.#waiting = resolve
        ends.addEventListener('abort', stop)
        this.#runner.send({ ...this.#source, ...request })
        this.#source = null
      })
    } finally {
      ends.removeEventListener('abort', stop)
      this.#waiting = null
      signal.throwIfAborted()
    }
  }

  end(): void {
    this.#over ??= failed('its process was ended')
    this.#runner.end()
  }
}

/** Tokenises texts in a process that is there for them alone. */
export async function encodeApart(
  { texts, ...source }: EncodeRequest,
  { inThread, ...limits }: EncodeLimits & { readonly inThread?: boolean },
): Promise<EncodeAnswer> {
  limits.signal.throwIfAborted()
  const encoder = new Encoder(source, inThread)
  try {
    return await encoder.encode(texts, limits)
  } finally {
    encoder.end()
  }
}

function failed(reason: string): Failed {
  return { state: 'failed', part: 'text', reason }
}

function childProcess({ answered, ended }: RunnerEvents): Runner {
  const child = fork(entry, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
  })
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(0, 4_000)
  })
  child.on('message', (answer) => answered(answer as Answer))
  child.once('error', (error) => ended(error.message))
  child.once('close', (code, signal) => {
    ended(reasonIn(said) ?? `its process ended (${signal ?? `exit code ${code}`})`)
  })
  return {
    // A failed write means that it is going, which `close` tells.
    send: (request) => void child.send(request, () => {}),
    end: () => void child.kill('SIGKILL'),
  }
}

/** A thread that panics takes the engine with it; it can still be left alone when it has no end. */
function thread({ answered, ended }: RunnerEvents): Runner {
  const worker = new Worker(entry)
  worker.on('message', answered)
  worker.once('error', (error) => ended(error.message))
  worker.once('exit', (code) => ended(`its thread ended (exit code ${code})`))
  return {
    send: (request) => worker.postMessage(request),
    end: () => void worker.terminate(),
  }
}

/** What the library wrote when it gave up: the line after `thread '…' panicked at …`. */
function reasonIn(said: string): string | null {
  const lines = said.split('\n')
  const panic = lines.findIndex((line) => line.startsWith("thread '"))
  return panic === -1 ? null : lines[panic + 1]?.trim() || null
}
