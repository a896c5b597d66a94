import { AppError } from '@shared/errors'
import { pathsOf, type JobSpec, type ResultOf } from '@shared/jobs'
import { EngineClient } from '../jobs/EngineClient'
import { NodeEngineProcess } from '../jobs/NodeEngineProcess'
import { checkOutput } from '../jobs/output'
import { reportError } from './errors'
import { Interrupt } from './interrupt'
import { EXIT_FAILED } from './exitCodes'
import { printable, Progress } from './progress'
import type { CommandContext } from './program'

/** The engine in a process of its own; to be disposed of. */
export function startEngine({ paths }: CommandContext): EngineClient {
  return new EngineClient(() => new NodeEngineProcess(paths.engine))
}

/** How a job that was run from the command line ended. */
export type JobEnd<Result> =
  { readonly result: Result; readonly warned: ReadonlySet<string> } | { readonly exitCode: number }

/**
 * Runs one job in a fresh engine with progress on stderr. Ctrl-C cancels it; whatever it ends with has been said when
 * this returns, except for a result.
 */
export async function runJob<Spec extends JobSpec>(
  spec: Spec,
  context: CommandContext,
): Promise<JobEnd<ResultOf<Spec['kind']>>> {
  const engine = startEngine(context)
  try {
    return await runJobIn(engine, spec, context)
  } finally {
    await engine.dispose()
  }
}

/**
 * The same in an engine that runs already.
 *
 * @param before What comes before the job; a signal to stop ends the wait for it.
 */
export async function runJobIn<Spec extends JobSpec>(
  engine: EngineClient,
  spec: Spec,
  { io, json }: CommandContext,
  before?: () => Promise<void>,
): Promise<JobEnd<ResultOf<Spec['kind']>>> {
  const progress = new Progress(io, spec)
  const interrupt = new Interrupt(
    {
      on: (signal, listener) => process.on(signal, listener),
      off: (signal, listener) => process.off(signal, listener),
      exit: (code) => process.exit(code),
    },
    () => progress.note('cancelling …'),
  )
  try {
    if (before) await Promise.race([before(), aborted(interrupt.signal)])
    checkOutput(spec)
    const outcome = await engine.runJob(spec, {
      signal: interrupt.signal,
      onEvent: (event) => progress.onEvent(event),
    })
    progress.close()
    switch (outcome.state) {
      case 'succeeded':
        return { result: outcome.result, warned: progress.warned }
      case 'cancelled':
        io.stderr.write(`cancelled; ${whatIsLeft(spec)}\n`)
        return { exitCode: interrupt.exitCode }
      case 'failed':
        throw AppError.fromData(outcome.error)
    }
  } catch (thrown) {
    progress.close()
    if (!(thrown instanceof AppError)) throw thrown
    reportError(io, thrown, json)
    return { exitCode: EXIT_FAILED }
  } finally {
    interrupt.dispose()
  }
}

function whatIsLeft(spec: JobSpec): string {
  const [kept] = pathsOf(spec, 'keeps')
  return kept === undefined
    ? 'nothing was left behind'
    : `what was finished is kept in ${printable(kept)}: the same command goes on from there`
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
