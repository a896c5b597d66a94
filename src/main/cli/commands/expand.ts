import type { StagesSpec } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import type { ModelShape } from '@shared/predictorSettings'
import { modelFolderOf } from '@system/hubCache'
import { buildExpandSpec, buildStagesSpec, type ExpandOptions } from '../expandSpec'
import { runJob } from '../job'
import { runEstimatedJob } from '../estimatedJob'
import { EXIT_OK } from '../exitCodes'
import { readPlan } from '../mergePlan'
import type { CommandContext } from '../program'
import { formatExpansion, formatStages, toJson } from '../results'
import { UsageError } from '../usage'

/** @throws UsageError before anything is started. */
export async function expand(
  given: string | undefined,
  asked: ExpandOptions,
  context: CommandContext,
): Promise<number> {
  const { io } = context
  const { model: named, options: said } = await withPlan(given, asked, io.cwd)
  const model = await modelFolderOf(named, io.cwd)
  const also = await Promise.all((said.also ?? []).map((each) => modelFolderOf(each, io.cwd)))
  const options = said.also === undefined ? said : { ...said, also }
  const place = {
    cwd: io.cwd,
    shape: () => shapeOf(model),
    weightTypes: (method: MethodSpec) => weightTypes(model, method),
  }
  const { only } = options
  if (only !== undefined) {
    return runStages(await buildStagesSpec(model, { ...options, only }, place), context)
  }
  const spec = await buildExpandSpec(model, options, place)
  return runEstimatedJob(spec, context, formatExpansion)
}

/** The model, which only a recipe may name in its place, and the options with what the recipe says. */
async function withPlan(
  model: string | undefined,
  { plan, ...options }: ExpandOptions,
  cwd: string,
): Promise<{ readonly model: string; readonly options: ExpandOptions }> {
  if (plan !== undefined) {
    return readPlan(model, { ...options, plan }, cwd, async (named) =>
      shapeOf(await modelFolderOf(named, cwd)),
    )
  }
  if (model === undefined) throw new UsageError("missing required argument 'model'")
  return { model, options }
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

/** The names of what a growth computes new matrices of. */
async function weightTypes(folder: string, method: MethodSpec): Promise<readonly string[]> {
  const { Checkpoint } = await import('../../engine/checkpoint/Checkpoint')
  const { planGrowth } = await import('../../engine/growth/planGrowth')
  const { seriesOf } = await import('../../engine/lesa/series')
  const checkpoint = await Checkpoint.open(folder)
  await checkpoint.close()
  const plan = planGrowth(method, checkpoint)
  return seriesOf(checkpoint, plan).map(({ id }) => id)
}
