import { fork, type ChildProcess } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import type { EncodeAnswer, EncodeRequest } from '../../src/main/engine/evaluation/tokenizerProcess'

/** The program gives it half a minute; what is slower than this here is ended there as well. */
const LIMIT_MS = 5_000

/** What became of a request: the process answered, ended, or was ended for want of an answer. */
export type Told = EncodeAnswer['state'] | 'ended' | 'late'

/** The process that tokenises, kept for many requests; started again when one has ended it. */
export class TokenizerLine {
  private child: ChildProcess | null = null

  constructor(private readonly entry: string) {}

  async ask(request: EncodeRequest): Promise<Told> {
    const child = (this.child ??= fork(this.entry, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
    }))
    const over = new AbortController()
    const told = await Promise.race([
      new Promise<Told>((resolve) => {
        child.once('message', (answer) => resolve((answer as EncodeAnswer).state))
        child.once('close', () => resolve('ended'))
        child.send(request, () => undefined)
      }),
      wait<Told>(LIMIT_MS, 'late', { signal: over.signal }).catch(() => 'late' as const),
    ])
    over.abort()
    child.removeAllListeners()
    if (told === 'ended' || told === 'late') this.end()
    return told
  }

  end(): void {
    this.child?.kill('SIGKILL')
    this.child = null
  }
}
