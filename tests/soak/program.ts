/** @file The built program in processes of its own, and what it leaves. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { EngineClient } from '../../src/main/jobs/EngineClient'
import { NodeEngineProcess } from '../../src/main/jobs/NodeEngineProcess'
import { writeTinyCheckpoint } from '../support/checkpoints'

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly out: string
  readonly err: string
}

export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

/** The command line in a process group of its own. */
export function startCli(
  root: string,
  args: readonly string[],
  options: {
    readonly cwd?: string
    readonly shell?: string
    readonly env?: NodeJS.ProcessEnv
  } = {},
): Started {
  const command = [process.execPath, join(root, 'scripts/lesa.mjs'), ...args]
  // A shell's own words first: `ulimit -n 64`.
  const [file = '', ...rest] = options.shell
    ? ['bash', '-c', `${options.shell}; exec "$@"`, 'bash', ...command]
    : command
  const child = spawn(file, rest, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err]: [string[], string[]] = [[], []]
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text))
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) =>
      resolve({ code, signal, out: out.join(''), err: err.join('') }),
    )
  })
  return { child, ended }
}

export async function runCli(
  root: string,
  args: readonly string[],
  options: Parameters<typeof startCli>[2] & { readonly limitMs?: number } = {},
): Promise<Ended & { readonly isLate: boolean }> {
  const { child, ended } = startCli(root, args, options)
  const limit = new AbortController()
  const late = wait(options.limitMs ?? 120_000, null, { signal: limit.signal }).catch(() => null)
  const first = await Promise.race([ended, late])
  limit.abort()
  if (first === null) killAll(child.pid ?? 0)
  return { ...(await ended), isLate: first === null }
}

/** The error that `--json` writes, if it wrote one. */
export function errorOf({ err }: Pick<Ended, 'err'>): { code: string; message: string } | null {
  const line = err.split('\n').find((each) => each.startsWith('{"error"'))
  return line === undefined
    ? null
    : (JSON.parse(line) as { error: { code: string; message: string } }).error
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended already.
  }
}

/** Ends a process group. */
export function killAll(pid: number): void {
  signal(-pid, 'SIGKILL')
}

/** The living processes of a group; where there is no `/proc`, nobody knows. */
export function groupOf(group: number): { readonly pid: number; readonly parent: number }[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const text = readFileSync(`/proc/${name}/stat`, 'utf8')
        const [state, parent, of] = text.slice(text.lastIndexOf(')') + 2).split(' ')
        const lives = Number(of) === group && !['Z', 'X'].includes(state ?? '')
        return lives ? [{ pid: Number(name), parent: Number(parent) }] : []
      } catch {
        return []
      }
    })
}

/** Whether it holds within the time. */
export async function within(limitMs: number, holds: () => boolean): Promise<boolean> {
  const start = performance.now()
  while (!holds()) {
    if (performance.now() - start > limitMs) return false
    await wait(25)
  }
  return true
}

/** Every file of a folder with its bytes' digest, as one text; `null` when there is no folder. */
export async function digestOf(folder: string): Promise<string | null> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => null)
  if (entries === null) return null
  const lines = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => {
      const file = join(entry.parentPath, entry.name)
      const digest = createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
      return `${relative(folder, file)} ${digest}`
    })
  return (await Promise.all(lines)).sort().join('\n')
}

/** A model that grows in a second. */
export function smallModel(work: string, name = 'model'): Promise<string> {
  return writeTinyCheckpoint({ dir: join(work, name), layers: 4, vocab: 64, shards: 2 })
}

export function startEngine(root: string): { client: EngineClient; pid: () => number | undefined } {
  let running: NodeEngineProcess | null = null
  const client = new EngineClient(() => {
    running = new NodeEngineProcess(join(root, 'out/main/engine.js'))
    return running
  })
  return { client, pid: () => running?.pid }
}
