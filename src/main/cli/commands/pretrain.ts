import type { PretrainSpec } from '@shared/jobs'
import { baseName } from '@shared/paths'
import { hubPlaceAt, modelFolderOf } from '@system/hubCache'
import type { EngineClient } from '../../jobs/EngineClient'
import { showEstimate } from '../estimate'
import { EXIT_OK } from '../exitCodes'
import { runJobIn, startEngine } from '../job'
import { buildPretrainSpec, type NamedModel, type PretrainOptions } from '../pretrainSpec'
import { formatPretraining } from '../pretrainResults'
import type { CommandContext } from '../program'
import { paint } from '../progress'
import { toJson } from '../results'

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
  const engine = startEngine(context)
  try {
    return await runPretrain(engine, spec, context)
  } finally {
    await engine.dispose()
  }
}

async function runPretrain(
  engine: EngineClient,
  spec: PretrainSpec,
  context: CommandContext,
): Promise<number> {
  const { io, json } = context
  const estimate = (): Promise<void> => showEstimate(engine, spec, context)
  const end = await runJobIn(engine, spec, context, estimate)
  if ('exitCode' in end) return end.exitCode
  const { kind: _kind, ...result } = end.result
  for (const warning of result.warnings.filter((text) => !end.warned.has(text))) {
    io.stderr.write(`${paint(io, '33', 'warning')}: ${warning}\n`)
  }
  io.stdout.write(json ? toJson(result) : formatPretraining(end.result, spec, io.cwd))
  return EXIT_OK
}

/** A model of the hub's cache lies in a folder named by its revision: it is called by its own name. */
async function namedModel(given: string, cwd: string): Promise<NamedModel> {
  const path = await modelFolderOf(given, cwd)
  return { path, name: baseName(hubPlaceAt(path)?.repository ?? path) }
}
