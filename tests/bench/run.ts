/** @file `npm run bench`: runs the benchmarks and prints what they found. Not part of the tests. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { copyBenchmark } from './benchmarks/copy'
import { decomposeBenchmark } from './benchmarks/decompose'
import { evaluateBenchmark } from './benchmarks/evaluate'
import { fittedBenchmark } from './benchmarks/fitted'
import { lesaBenchmark } from './benchmarks/lesa'
import {
  DEMO_SHAPE,
  largePretrainBenchmark,
  pretrainBenchmark,
  WIDE_SHAPE,
} from './benchmarks/pretrain'
import { startupBenchmark } from './benchmarks/startup'
import { trainBenchmark } from './benchmarks/train'
import { runProgram } from './lib/measure'
import { parseOptions, USAGE, type BenchOptions } from './lib/options'
import { findPython } from './lib/python'
import {
  currentLoad,
  describeMachine,
  emptyRow,
  formatResults,
  rowOf,
  type ResultRow,
} from './lib/report'
import { SkipError, type BenchContext, type Benchmark } from './lib/types'

const BENCHMARKS: readonly Benchmark[] = [
  decomposeBenchmark(2048, 3, { ratio: 0.45 }),
  decomposeBenchmark(5632, 1, { ratio: 0.2, peakBytes: 1.5e9 }),
  trainBenchmark(128, 3, { ratio: 1 / 2 }),
  trainBenchmark(2048, 3, { ratio: 1 / 1.25 }),
  trainBenchmark(5632, 3, { ratio: 1 / 1.25 }),
  lesaBenchmark,
  fittedBenchmark,
  copyBenchmark,
  evaluateBenchmark,
  pretrainBenchmark('pretrain-demo', DEMO_SHAPE),
  pretrainBenchmark('pretrain-512', WIDE_SHAPE),
  largePretrainBenchmark,
  startupBenchmark,
]

export const BENCHMARK_NAMES = BENCHMARKS.map(({ name }) => name)

export interface BenchPlaces {
  /** The project's folder. */
  readonly root: string
  /** Bundle of `child.ts`. */
  readonly child: string
  readonly cwd: string
}

/** Returns the exit code: 0, 1 when a benchmark failed, 2 for wrong usage, 130 when stopped. */
export async function runBench(args: readonly string[], places: BenchPlaces): Promise<number> {
  let options: BenchOptions
  try {
    options = parseOptions(args, BENCHMARK_NAMES)
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
    return 2
  }
  if (options.help) {
    process.stdout.write(`${USAGE}\nBenchmarks: ${BENCHMARK_NAMES.join(', ')}\n`)
    return 0
  }
  const stop = new AbortController()
  const onSignal = (): void => stop.abort(new Error('stopped'))
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, onSignal)
  const parent = options.work === null ? tmpdir() : resolve(places.cwd, options.work)
  await mkdir(parent, { recursive: true })
  const work = await mkdtemp(join(parent, 'lesa-bench-'))
  try {
    return await runAll(options, places, work, stop.signal)
  } catch (error) {
    if (!stop.signal.aborted) throw error
    process.stderr.write('stopped\n')
    return 130
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal)
    await rm(work, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

async function runAll(
  options: BenchOptions,
  { root, child }: BenchPlaces,
  work: string,
  signal: AbortSignal,
): Promise<number> {
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  const python = options.reference ? await findPython(signal) : null
  if (options.reference && python === null) {
    say('No Python with torch and safetensors was found: without references in PyTorch.')
  }
  const load = currentLoad()
  const rows: ResultRow[] = []
  for (const benchmark of BENCHMARKS) {
    if (options.only && !options.only.includes(benchmark.name)) continue
    const context: BenchContext = {
      root,
      child,
      work: join(work, benchmark.name),
      quick: options.quick,
      repeats: options.repeats ?? (options.quick ? 1 : null),
      withReference: options.reference,
      python,
      signal,
      say,
    }
    rows.push(await runOne(benchmark, context))
  }
  const machine = describeMachine(python && (await describePython(python, signal)), load)
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ quick: options.quick, machine, results: rows }, null, 2)}\n`
      : formatResults(rows, machine),
  )
  return rows.some(({ failed }) => failed !== undefined) ? 1 : 0
}

async function runOne(benchmark: Benchmark, context: BenchContext): Promise<ResultRow> {
  const { work, signal, say } = context
  await mkdir(work, { recursive: true })
  try {
    const parts = await benchmark.run(context)
    // Goals are for the real sizes.
    return rowOf(benchmark, context.quick ? parts.map((part) => ({ ...part, goal: {} })) : parts)
  } catch (error) {
    signal.throwIfAborted()
    const message = error instanceof Error ? error.message : String(error)
    if (error instanceof SkipError) {
      say(`${benchmark.name}: skipped: ${message}`)
      return emptyRow(benchmark, { skipped: message })
    }
    say(`${benchmark.name}: FAILED: ${message}`)
    return emptyRow(benchmark, { failed: message })
  } finally {
    await rm(work, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

async function describePython(python: string, signal: AbortSignal): Promise<string> {
  const script =
    'import torch; print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")'
  return (await runProgram(python, ['-c', script], { signal, memory: false })).stdout.trim()
}
