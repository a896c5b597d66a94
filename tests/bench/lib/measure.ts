/** @file Runs programs and measures them from outside. */
import { spawn } from 'node:child_process'
import { engineEnvironment } from '../../../src/main/jobs/EngineProcess'
import { TreeMemory } from './processTree'
import type { BenchContext, Part, Sample, Turn } from './types'

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** How often memory is looked at; `false` leaves the run alone. */
  readonly memory?: number | false
  /** Each line of stderr with the seconds since the start. */
  readonly onLine?: (line: string, seconds: number) => void
}

export interface Run {
  readonly stdout: string
  /** From start to end of the process. */
  readonly seconds: number
  readonly peakBytes: number | null
}

/** How much of a failed program's stderr is shown. */
const STDERR_TAIL = 4000

/** Runs a program to its end. @throws Error with the tail of its stderr when it fails. */
export function runProgram(
  command: string,
  args: readonly string[],
  { cwd, env, signal, memory, onLine }: RunOptions,
): Promise<Run> {
  return new Promise((done, fail) => {
    const started = performance.now()
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
      windowsHide: true,
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
    })
    const watch =
      memory === false || child.pid === undefined ? null : new TreeMemory(child.pid, memory)
    const seconds = (): number => (performance.now() - started) / 1000
    let stdout = ''
    let stderr = ''
    let line = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-STDERR_TAIL)
      const lines = (line + text).split('\n')
      line = lines.pop() ?? ''
      for (const whole of lines) onLine?.(whole, seconds())
    })
    let ended = 0
    child.once('exit', () => (ended = seconds()))
    child.once('error', (error) => {
      watch?.stop()
      fail(error)
    })
    child.once('close', (code, killedBy) => {
      const peakBytes = watch?.stop() ?? null
      if (code === 0) done({ stdout, seconds: ended, peakBytes })
      else {
        const how = code === null ? `was ended by ${killedBy ?? 'a signal'}` : `ended with ${code}`
        fail(new Error(`${command} ${args.join(' ')} ${how}.\n${stderr.trimEnd()}`))
      }
    })
  })
}

/** What a measured program says of itself: its last line on stdout. */
export interface Report {
  readonly [key: string]: unknown
}

export function lastReport({ stdout }: Run): Report {
  const line = stdout.trimEnd().split('\n').at(-1) ?? ''
  return JSON.parse(line) as Report
}

/** A number of a report. @throws Error when there is none of that name. */
export function numberOf(report: Report, name: string): number {
  const value = report[name]
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new Error(`The report has no number "${name}": ${JSON.stringify(report)}`)
}

/** Runs one of our own measured pieces (`child.ts`) in a process of its own. */
export async function runChild(
  { child, signal }: BenchContext,
  task: string,
  parameters: object,
): Promise<Run & { readonly report: Report }> {
  const run = await runProgram(process.execPath, [child, task, JSON.stringify(parameters)], {
    signal,
    // They stand for the engine.
    env: engineEnvironment(process.env),
  })
  const report = lastReport(run)
  // Where the tree cannot be watched, the process knows at least its own peak.
  return { ...run, report, peakBytes: run.peakBytes ?? numberOf(report, 'maxResidentBytes') }
}

/** Runs the command line as it was built before the benchmarks began. */
export function runLesa(
  { root, signal }: BenchContext,
  args: readonly string[],
  options: Omit<RunOptions, 'signal'> = {},
): Promise<Run> {
  return runProgram(process.execPath, [`${root}/out/main/cli.js`, ...args], {
    cwd: root,
    signal,
    ...options,
  })
}

/** Runs one of the references in `tests/bench/reference`. */
export async function runReference(
  { root, signal }: BenchContext,
  python: string,
  script: string,
  parameters: object,
): Promise<Run & { readonly report: Report }> {
  const file = `${root}/tests/bench/reference/${script}`
  const run = await runProgram(python, [file, JSON.stringify(parameters)], {
    signal,
    env: { PYTHONDONTWRITEBYTECODE: '1', HF_HUB_OFFLINE: '1' },
  })
  return { ...run, report: lastReport(run) }
}

/** Measures both sides in turn, so that whatever else the machine does meets both alike. */
export async function takeTurns(
  { say, repeats }: BenchContext,
  name: string,
  { ours, reference }: Turn,
  ownRepeats: number,
): Promise<Pick<Part, 'ours' | 'reference'>> {
  const total = repeats ?? ownRepeats
  const samples: { ours: Sample[]; reference: Sample[] } = { ours: [], reference: [] }
  for (let turn = 1; turn <= total; turn += 1) {
    const which = total === 1 ? '' : ` ${turn}/${total}`
    say(`${name}: ours${which}`)
    samples.ours.push(await ours())
    if (!reference) continue
    say(`${name}: reference${which}`)
    samples.reference.push(await reference())
  }
  return { ours: samples.ours, reference: reference ? samples.reference : null }
}
