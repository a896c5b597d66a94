import type { StagesSpec } from '@shared/jobs'
import type { ModelShape } from '@shared/predictorSettings'
import { modelFolderOf } from '@system/hubCache'
import { buildExpandSpec, buildStagesSpec, type ExpandOptions } from '../expandSpec'
import { runJob } from '../job'
import { runEstimatedJob } from '../estimatedJob'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { formatExpansion, formatStages, toJson } from '../results'

/** @throws UsageError before anything is started. */
export async function expand(
  given: string,
  asked: ExpandOptions,
  context: CommandContext,
): Promise<number> {
  const { io } = context
  const model = await modelFolderOf(given, io.cwd)
  const also = await Promise.all((asked.also ?? []).map((each) => modelFolderOf(each, io.cwd)))
  const options = asked.also === undefined ? asked : { ...asked, also }
  const place = {
    cwd: io.cwd,
    shape: () => shapeOf(model),
    weightTypes: () => weightTypes(model),
  }
  const { only } = options
  if (only !== undefined) {
    return runStages(await buildStagesSpec(model, { ...options, only }, place), context)
  }
  const spec = await buildExpandSpec(model, options, place)
  return runEstimatedJob(spec, context, formatExpansion)
}

/** One machine's part of a job: nothing is written but the job's folder. */
async function runStages(spec: StagesSpec, context: CommandContext): Promise<number> {
  const { io, json } = context
  const end = await runJob(spec, context)
  if ('exitCode' in end) return end.exitCode
  const { kind: _kind, ...result } = end.result
  io.stdout.write(json ? toJson(result) : formatStages(end.result))
  return EXIT_OK
}

async function shapeOf(folder: string): Promise<ModelShape> {
  const { Checkpoint } = await import('../../engine/checkpoint/Checkpoint')
  return Checkpoint.inspect(folder)
}

async function weightTypes(folder: string): Promise<readonly string[]> {
  const { Checkpoint } = await import('../../engine/checkpoint/Checkpoint')
  const checkpoint = await Checkpoint.open(folder)
  await checkpoint.close()
  return checkpoint.weightTypes
}
