import { baseName } from '@shared/paths'
import { hubPlaceAt, modelFolderOf } from '@system/hubCache'
import { runEstimatedJob } from '../estimatedJob'
import { buildPretrainSpec, type NamedModel, type PretrainOptions } from '../pretrainSpec'
import { formatPretraining } from '../pretrainResults'
import type { CommandContext } from '../program'

/** @throws UsageError before anything is started. */
export async function pretrain(
  models: readonly string[],
  options: PretrainOptions,
  context: CommandContext,
): Promise<number> {
  const { cwd } = context.io
  const spec = buildPretrainSpec(
    await Promise.all(models.map((given) => namedModel(given, cwd))),
    options.base === undefined ? undefined : await modelFolderOf(options.base, cwd),
    options,
    cwd,
  )
  return runEstimatedJob(spec, context, (result) => formatPretraining(result, spec, cwd))
}

/** A model of the hub's cache lies in a folder named by its revision: it is called by its own name. */
async function namedModel(given: string, cwd: string): Promise<NamedModel> {
  const path = await modelFolderOf(given, cwd)
  return { path, name: baseName(hubPlaceAt(path)?.repository ?? path) }
}
