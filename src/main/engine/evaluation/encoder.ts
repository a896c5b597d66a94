/** @file Runs the tokenizer library where it can be ended. */
import { fork } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import type { EncodeAnswer, EncodeRequest, TokenizerLibrary } from './tokenizerProcess'
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

/** A process or thread that answers once. */
interface Runner {
  /** @param ended What it said before it ended without an answer. */
  start(
    request: EncodeRequest,
    answered: (answer: EncodeAnswer) => void,
    ended: (reason: string) => void,
  ): void
  /** Ends it at once. */
  end(): void
}

/** Electron's own processes cannot start a plain Node process. */
const IN_ELECTRON = process.versions['electron'] !== undefined

export interface EncodeLimits {
  readonly signal: AbortSignal
  readonly limitMs: number
  readonly inThread?: boolean
}

/**
 * Tokenises texts. Whatever the library does, this ends: with its answer, with `failed` when the process ended or took
 * longer than `limitMs`, or with the signal's reason.
 */
export async function encodeApart(
  request: EncodeRequest,
  { signal, limitMs, inThread = IN_ELECTRON }: EncodeLimits,
): Promise<EncodeAnswer> {
  signal.throwIfAborted()
  const runner = inThread ? thread() : childProcess()
  const failed = (reason: string): EncodeAnswer => ({ state: 'failed', part: 'text', reason })
  const over = AbortSignal.timeout(limitMs)
  const ends = AbortSignal.any([signal, over])
  try {
    return await new Promise<EncodeAnswer>((resolve, reject) => {
      ends.addEventListener('abort', () => {
        if (signal.aborted) reject(signal.reason as Error)
        else resolve(failed(`it took longer than ${Math.round(limitMs / 1000)} s`))
      })
      runner.start(request, resolve, (reason) => resolve(failed(reason)))
    })
  } finally {
    runner.end()
  }
}

function childProcess(): Runner {
  const child = fork(entry, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
  })
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(0, 4_000)
  })
  return {
    start(request, answered, ended) {
      child.once('message', (answer) => answered(answer as EncodeAnswer))
      child.once('error', (error) => ended(error.message))
      child.once('close', (code, signal) => {
        ended(reasonIn(said) ?? `its process ended (${signal ?? `exit code ${code}`})`)
      })
      // A failed write means that it is going, which `close` tells.
      child.send(request, () => {})
    },
    end: () => void child.kill('SIGKILL'),
  }
}

/** A thread that panics takes the engine with it; it can still be left alone when it has no end. */
function thread(): Runner {
  const worker = new Worker(entry)
  return {
    start(request, answered, ended) {
      worker.once('message', answered)
      worker.once('error', (error) => ended(error.message))
      worker.once('exit', (code) => ended(`its thread ended (exit code ${code})`))
      worker.postMessage(request)
    },
    end: () => void worker.terminate(),
  }
}

/** What the library wrote when it gave up: the line after `thread '…' panicked at …`. */
function reasonIn(said: string): string | null {
  const lines = said.split('\n')
  const panic = lines.findIndex((line) => line.startsWith("thread '"))
  return panic === -1 ? null : lines[panic + 1]?.trim() || null
}
