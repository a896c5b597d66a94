import type { ExpandSpec, PlaceSpec, PretrainSpec, ResultOf } from '@shared/jobs'
import { showEstimate } from './estimate'
import { EXIT_OK } from './exitCodes'
import { runJobIn, startEngine } from './job'
import type { CommandContext } from './program'
import { paint } from './progress'
import { toJson } from './results'

/** Says what a job will cost, runs it, and prints the warnings that were not seen yet and the result. */
export async function runEstimatedJob<Spec extends ExpandSpec | PlaceSpec | PretrainSpec>(
  spec: Spec,
  context: CommandContext,
  format: (result: ResultOf<Spec['kind']>) => string,
  /** What is printed as JSON; the result as it is without it. */
  data: (result: ResultOf<Spec['kind']>) => object = ({ kind: _kind, ...result }) => result,
): Promise<number> {
  const { io, json } = context
  const engine = startEngine(context)
  try {
    const estimate = (): Promise<void> => showEstimate(engine, spec, context)
    const end = await runJobIn(engine, spec, context, estimate)
    if ('exitCode' in end) return end.exitCode
    for (const warning of end.result.warnings.filter((text) => !end.warned.has(text))) {
      io.stderr.write(`${paint(io, '33', 'warning')}: ${warning}\n`)
    }
    io.stdout.write(json ? toJson(data(end.result)) : format(end.result))
    return EXIT_OK
  } finally {
    await engine.dispose()
  }
}
