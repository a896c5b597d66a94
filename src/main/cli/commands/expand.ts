import { resolve } from 'node:path'
import { buildExpandSpec, type ExpandOptions } from '../expandSpec'
import { runJob } from '../job'
import { EXIT_OK } from '../exitCodes'
import { paint } from '../progress'
import type { CommandContext } from '../program'
import { formatExpansion, toJson } from '../results'

/** @throws UsageError before anything is started. */
export async function expand(
  model: string,
  options: ExpandOptions,
  context: CommandContext,
): Promise<number> {
  const { io, json } = context
  const spec = await buildExpandSpec(model, options, {
    cwd: io.cwd,
    countLayers: () => countLayers(resolve(io.cwd, model)),
  })
  const end = await runJob(spec, context)
  if ('exitCode' in end) return end.exitCode
  const { kind: _kind, ...result } = end.result
  for (const warning of result.warnings.filter((text) => !end.warned.has(text))) {
    io.stderr.write(`${paint(io, '33', 'warning')}: ${warning}\n`)
  }
  io.stdout.write(json ? toJson(result) : formatExpansion(end.result))
  return EXIT_OK
}

async function countLayers(folder: string): Promise<number> {
  const { Checkpoint } = await import('../../engine/checkpoint/Checkpoint')
  return (await Checkpoint.inspect(folder)).num_hidden_layers
}
